package integration

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// second is a client of the second edition that does not confirm messages.
var second = harness.DialOptions{Protocols: []string{"umf.v1"}}

// C1: of many messages at once, to those who listen and those who do not, each has one
// outcome, and it is true.
func TestAccepted(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	s := w.Serve(t, world.Unique(t))
	c, other := world.DialWith(t, node.URL("/"), second), world.Dial(t, node)
	queue := world.Unique(t)
	w.RegisterQueue(t, queue)
	const rounds = 80               // a tenth of a mailbox, what one sender may fill, is 100
	want := make(map[string]string) // by mid: accepted, or a code
	for i := range rounds {
		for kind, m := range map[string]struct {
			to, forward, outcome string
		}{
			"served":  {to: s.Name + ":/", outcome: "accepted"},
			"absent":  {to: "nosuch:/", outcome: "no_instances"},
			"other":   {to: other.Address(), outcome: "accepted"},
			"unknown": {to: "nosuch", outcome: "bad_address"},
			"work":    {to: "hydra-router:/queue", forward: queue + ":/", outcome: "accepted"},
			"no work": {to: "hydra-router:/queue", forward: "nosuch:/", outcome: "no_queue"},
		} {
			if kind == "no work" && i%10 != 0 {
				continue // the node asks around for a tenth of a second first
			}
			mid := fmt.Sprint(kind, "-", i)
			o := object{"to": m.to, "mid": mid, "hdr": object{"x-ack": true}, "bdy": i + 1}
			if m.forward != "" {
				o["fwd"] = m.forward
			}
			want[mid] = m.outcome
			c.Send(o)
		}
	}
	for range rounds {
		s.Next()
	}
	for range len(want) {
		m := c.Next()
		got := m.Type()
		if code, _ := m.At("bdy", "code").(string); got == "error" {
			got = code
		}
		mid := m.Rmid()
		if outcome, waits := want[mid]; !waits || got != outcome {
			t.Errorf("%s, want %q for it", m.Raw, outcome)
		}
		delete(want, mid)
	}
	c.Quiet()
	if got := len(other.WantBodies(1, rounds+1)); got != rounds {
		t.Errorf("%d have arrived", got)
	}
}

// C2: a token is replaced on the connection, which outlives the first one.
func TestTokenInPlace(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node, secret := asksForTokens(t, w, "renews")
	token := func(sub string, life time.Duration, rules object) string {
		return jwt(t, secret, object{"alg": "HS256"}, object{"sub": sub, "exp": time.Now().Add(life).Unix(), "umf": rules})
	}
	open := object{"services": []string{"*"}}
	o := second
	o.Header = http.Header{"Authorization": {"Bearer " + token("alice", time.Hour, open)}}
	c := world.DialWith(t, node.URL("/"), o)
	if exp, ok := c.Welcome.At("bdy", "exp").(float64); !ok || exp < float64(time.Now().UnixMilli()) {
		t.Errorf("welcome %s", c.Welcome.Raw)
	}
	world.Want(t, c.Call(object{"to": "hydra-router:/", "typ": "auth", "bdy": object{"token": token("alice", 2*time.Hour, object{"services": []string{"x"}})}}), "typ", "accepted")
	if code := c.Call(object{"to": "nosuch:/", "bdy": 1}).At("bdy", "code"); code != "denied" {
		t.Errorf("the rules are not those of the new token: %v", code)
	}
	c.Send(object{"to": "hydra-router:/", "typ": "auth", "bdy": object{"token": token("bob", time.Hour, open)}})
	if code, _ := c.Closed(); code != 4401 {
		t.Errorf("another's token: closed with %d", code)
	}
}
