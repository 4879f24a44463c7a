package peerbook

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

// What a ban is, row by row: what happens to peer 1, who banned it in the end,
// and for how long from now. Each row is looked at again after a restart.
func TestBanSemantics(t *testing.T) {
	const nobody = BanSource(99)
	refused := func(t *testing.T, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	for _, row := range []struct {
		name string
		do   func(t *testing.T, b *Book)
		by   BanSource
		left time.Duration
	}{
		{"never banned", func(t *testing.T, b *Book) { must(t, b.Claimed(unsigned(1, 1), Meeting{})) }, nobody, 0},
		{"banned by the program", func(t *testing.T, b *Book) { must(t, b.Ban(id(1), time.Hour, "")) }, ByProgram, time.Hour},
		{"banned by the operator", func(t *testing.T, b *Book) { must(t, b.BanByOperator(id(1), time.Hour, "")) }, ByOperator, time.Hour},
		{"over", func(t *testing.T, b *Book) {
			must(t, b.Ban(id(1), time.Hour, ""))
			time.Sleep(time.Hour)
		}, nobody, 0},
		{"a second ban is longer", func(t *testing.T, b *Book) {
			must(t, b.Ban(id(1), time.Hour, ""))
			must(t, b.BanByOperator(id(1), 2*time.Hour, ""))
		}, ByOperator, 2 * time.Hour},
		{"a second ban is shorter", func(t *testing.T, b *Book) {
			must(t, b.BanByOperator(id(1), 2*time.Hour, ""))
			must(t, b.Ban(id(1), time.Hour, ""))
		}, ByOperator, 2 * time.Hour},
		{"unbanned", func(t *testing.T, b *Book) {
			must(t, b.BanByOperator(id(1), Forever, ""))
			must(t, b.Unban(id(1)))
		}, nobody, 0},
		{"unbanned with all", func(t *testing.T, b *Book) {
			must(t, b.BanByOperator(id(1), Forever, ""))
			lifted, err := b.UnbanAll()
			must(t, err)
			if !slices.Equal(lifted, []peer.ID{id(1)}) {
				t.Errorf("lifted %v", lifted)
			}
		}, nobody, 0},
		{"a ban that was decided before all were unbanned", func(t *testing.T, b *Book) {
			must(t, b.Ban(id(1), time.Hour, ""))
			decided, _ := b.Banned(id(1))
			_, err := b.UnbanAll()
			must(t, err)
			refused(t, b.BanSince(id(1), time.Hour, "", decided.Generation), ErrUnbanned)
		}, nobody, 0},
		{"a ban that was decided between an unban and one of all", func(t *testing.T, b *Book) {
			must(t, b.Unban(id(1)))
			decided, _ := b.Banned(id(1))
			_, err := b.UnbanAll()
			must(t, err)
			refused(t, b.BanSince(id(1), time.Hour, "", decided.Generation), ErrUnbanned)
		}, nobody, 0},
		{"a ban that was decided before the unban", func(t *testing.T, b *Book) {
			must(t, b.Ban(id(1), time.Hour, ""))
			decided, _ := b.Banned(id(1))
			must(t, b.Unban(id(1)))
			refused(t, b.BanSince(id(1), time.Hour, "", decided.Generation), ErrUnbanned)
		}, nobody, 0},
		{"a ban of a stranger that was decided before the unban", func(t *testing.T, b *Book) {
			must(t, b.Unban(id(1)))
			refused(t, b.BanSince(id(1), time.Hour, "", 0), ErrUnbanned)
		}, nobody, 0},
		{"a ban that was decided after the unban", func(t *testing.T, b *Book) {
			must(t, b.Unban(id(1)))
			decided, _ := b.Banned(id(1))
			must(t, b.BanSince(id(1), time.Hour, "", decided.Generation))
		}, ByProgram, time.Hour},
		{"relayed by others", func(t *testing.T, b *Book) {
			must(t, b.Ban(id(2), time.Hour, ""))
			must(t, b.Claimed(unsigned(1, 1), Meeting{})) // peer 1 tells of the banned peer 2, and that is no offence
			must(t, b.Put(Record{Key: key(2), Addresses: given(Relayed, 2), Claim: claim(t, 2, 5, 2)}))
		}, nobody, 0},
		{"banned, then relayed by others", func(t *testing.T, b *Book) {
			must(t, b.Ban(id(1), time.Hour, ""))
			must(t, b.Put(Record{Key: key(1), Addresses: given(Relayed, 1), Claim: claim(t, 1, 5, 1), Ban: Ban{Generation: 9}}))
		}, ByProgram, time.Hour},
		{"removed", func(t *testing.T, b *Book) {
			must(t, b.Ban(id(1), 100*time.Hour, ""))
			must(t, b.Remove(id(1)))
			time.Sleep(48 * time.Hour)
			_, err := b.Collect()
			must(t, err)
		}, ByProgram, 52 * time.Hour},
		{"on the allow list", func(t *testing.T, b *Book) {
			must(t, b.Allow(id(1), true))
			refused(t, b.Ban(id(1), time.Hour, ""), ErrAllowed)
			refused(t, b.BanSince(id(1), time.Hour, "", 0), ErrAllowed)
		}, nobody, 0},
		{"on the allow list, but the operator says so", func(t *testing.T, b *Book) {
			must(t, b.Allow(id(1), true))
			must(t, b.BanByOperator(id(1), time.Hour, ""))
		}, ByOperator, time.Hour},
		{"banned by the program, then allowed", func(t *testing.T, b *Book) {
			must(t, b.Ban(id(1), time.Hour, ""))
			must(t, b.Allow(id(1), true))
			refused(t, b.BanSince(id(1), time.Hour, "", 0), ErrUnbanned)
		}, nobody, 0},
		{"banned by the operator, then allowed", func(t *testing.T, b *Book) {
			must(t, b.BanByOperator(id(1), time.Hour, ""))
			must(t, b.Allow(id(1), true))
		}, ByOperator, time.Hour},
		{"allowed no longer", func(t *testing.T, b *Book) {
			must(t, b.Allow(id(1), true))
			must(t, b.Allow(id(1), false))
			must(t, b.Ban(id(1), time.Hour, ""))
		}, ByProgram, time.Hour},
		{"protected", func(t *testing.T, b *Book) {
			must(t, b.Protect(id(1), true))
			must(t, b.Ban(id(1), time.Hour, ""))
		}, ByProgram, time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newStore()
				b := openOn(t, store, Config{})
				row.do(t, b)
				for _, when := range []string{"at once", "after a restart"} {
					ban, holds := b.Banned(id(1))
					if holds != (row.by != nobody) || holds && (ban.Source != row.by || time.Until(ban.Until) != row.left) {
						t.Errorf("%s: %+v, holds: %v", when, ban, holds)
					}
					if b.InterceptPeerDial(id(1)) == holds || b.InterceptSecured(0, id(1), nil) == holds {
						t.Errorf("%s: the gate thinks otherwise", when)
					}
					must(t, b.Close())
					b = openOn(t, store, Config{})
				}
				if d := row.left; d > 0 { // and it ends to the millisecond
					time.Sleep(d - time.Millisecond)
					_, before := b.Banned(id(1))
					time.Sleep(time.Millisecond)
					if _, after := b.Banned(id(1)); !before || after {
						t.Errorf("a millisecond before its end %v, then %v", before, after)
					}
				}
			})
		})
	}
}

// The offences in a claim cost what tari_comms asks for.
func TestOffencesAndTheirBans(t *testing.T) {
	tooMany := unsigned(1, 1, 2, 3, 4, 5, 6)
	must(t, tooMany.Sign(secretKey(1), time.Now()))
	future := unsigned(1, 1)
	must(t, future.Sign(secretKey(1), time.Now().Add(48*time.Hour)))
	agent := claim(t, 1, 5, 1)
	agent.UserAgent = "not\nprintable"
	forged := claim(t, 1, 5, 1)
	forged.Signature.S[0] ^= 1
	protocols := claim(t, 1, 5, 1)
	for range identityproto.DefaultMaxProtocols {
		protocols.Protocols = append(protocols.Protocols, protocol.ID("t/more"))
	}
	for name, row := range map[string]struct {
		claim *identityproto.Claim
		want  time.Duration
	}{
		"too many addresses":     {tooMany, 2 * time.Hour},
		"too many protocols":     {protocols, 2 * time.Hour},
		"a forged signature":     {forged, 2 * time.Hour},
		"no signature":           {unsigned(1, 1), 0},
		"signed in the future":   {future, 0}, // clocks are no offence
		"an unprintable program": {agent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := identityproto.DecodeMessage(identityproto.EncodeMessage(row.claim), key(1), identityproto.Rules{}, time.Now())
			var offence *identityproto.Error
			if !errors.As(err, &offence) || offence.BanFor() != row.want {
				t.Fatalf("%v costs %s, want %s", err, offence.BanFor(), row.want)
			}
			if row.want == 0 {
				return
			}
			b := openOn(t, newStore(), Config{})
			before := time.Now()
			must(t, b.Ban(id(1), offence.BanFor(), err.Error()))
			ban, holds := b.Banned(id(1))
			if !holds || ban.Reason != err.Error() || ban.Until.Before(before.Add(row.want).Truncate(time.Millisecond)) {
				t.Errorf("%+v", ban)
			}
		})
	}
}

func TestOperatorsBansAreForgottenLast(t *testing.T) {
	b := openOn(t, newStore(), Config{MaxBans: 3})
	must(t, b.BanByOperator(id(1), time.Minute, "short"))
	for n := 2; n < 20; n++ {
		must(t, b.Ban(id(n), time.Duration(n)*time.Hour, "spam"))
	}
	if _, holds := b.Banned(id(1)); !holds || b.Stats().Banned != 3 {
		t.Errorf("the operator's ban holds: %v, of %d", holds, b.Stats().Banned)
	}
}

func TestAllowAndProtectSurvive(t *testing.T) {
	store := newStore()
	b := openOn(t, store, Config{})
	must(t, b.Allow(id(1), true))
	must(t, b.Protect(id(2), true))
	must(t, b.Claimed(unsigned(1, 1), Meeting{}))
	must(t, b.Claimed(unsigned(2, 2), Meeting{}))
	must(t, b.Close())
	b = openOn(t, store, Config{})
	if r := get(t, b, 1); !r.Allowed || r.Protected {
		t.Errorf("%+v", r)
	}
	if r := get(t, b, 2); r.Allowed || !r.Protected {
		t.Errorf("%+v", r)
	}
	if b.Allow("no Tari peer", true) == nil || b.Protect("no Tari peer", true) == nil {
		t.Error("no error for another kind of peer")
	}
}
