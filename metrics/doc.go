// Package metrics tells Prometheus how a node is: what its parts count anyway, read when somebody asks, and what its Events tell,
// counted as they come. Nothing else in the module knows Prometheus.
//
// The names follow tari_comms' where it has the same, so that one dashboard shows both; docs/metrics.md lists them. However many peers there
// are and whatever they send, the number of series stays what the program itself makes it: no label has a key, an address or a word
// of a stranger's.
//
//	events := metrics.NewEvents()
//	n, err := node.New(node.Config{OnEvent: events.Observe})
//	…
//	server, err := metrics.Serve("127.0.0.1:9107", events, metrics.Node(n))
package metrics
