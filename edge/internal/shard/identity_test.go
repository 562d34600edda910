package shard

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/protocol"
)

// TestIdentityForHeaders: an identity that services would take for another one gets
// nobody in, although the authentication service vouches for it.
func TestIdentityForHeaders(t *testing.T) {
	for _, name := range []string{" admin", "admin\n", "\tadmin", "ad\r\nmin", "admin\u00a0", "\ufeffadmin", "admin\x00", "\n"} {
		l := newLab(t)
		answer, err := json.Marshal(object{"result": object{"identity": name}})
		if err != nil {
			t.Fatal(err)
		}
		s := authenticated(l, func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: answer} })
		c := s.knock(dialOptions{})
		c.say(object{"to": "svc:/", "bdy": "too early"})
		c.closed(protocol.CloseUnauthentic)
		if len(l.nats.entries) != 0 {
			t.Errorf("%q has a session", name)
		}
	}
}
