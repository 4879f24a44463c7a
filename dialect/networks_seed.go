package dialect

// The test networks of 2020 and 2021. They share a wire byte, so a host can accept only one of them; Testnet2020 is tari_comms 0.2.
var (
	Stibbons    = Network{Name: "stibbons", WireByte: 0x06, Liveness: 0x46, Port: 18189, speaks: newSeed}
	Ridcully    = Network{Name: "ridcully", WireByte: 0x06, Liveness: 0x46, Port: 18189, speaks: newSeed}
	Rincewind   = Network{Name: "rincewind", WireByte: 0x06, Liveness: 0x46, Port: 18189, speaks: newSeed}
	Testnet2020 = Network{Name: "testnet2020", WireByte: 0x03, Liveness: 0x45, Port: 18189, speaks: newSeed}
)

func seedNetworks() []Network { return []Network{Stibbons, Ridcully, Rincewind, Testnet2020} }
