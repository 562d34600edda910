package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R30: a client that names its session in the handshake has it with the first message,
// from wherever it is, and no other session is made for it. S23: the secret neither
// stands in the answer of the handshake, nor in what the nodes print.
func TestResumeWithTheHandshake(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	debug := map[string]string{"EDGE_LOG_LEVEL": "debug"}
	nodes := []*harness.Node{w.Start(t, "enter-a", debug), w.Start(t, "enter-b", debug)}
	c := world.DialWith(t, nodes[0].URL("/"), harness.DialOptions{Protocols: []string{"umf.v1"}})
	id, token := c.ID, c.Token
	w.PushNumbers(t, id, 0, 1)
	c.WantBodies(0, 1)
	for attempt := 1; attempt <= 4; attempt++ {
		if attempt%2 == 0 { // else it is live
			c.Close()
			w.WaitParked(t, id)
			w.PushNumbers(t, id, attempt, attempt+1)
		}
		offers := []string{"umf.v1", fmt.Sprintf("umf.resume.%s.%s.%d", id, token, attempt)}
		c = world.DialWith(t, nodes[attempt/2%2].URL("/"), harness.DialOptions{Protocols: offers})
		if c.Protocol() != "umf.v1" {
			t.Errorf("subprotocol %q", c.Protocol())
		}
		if c.Welcome.At("bdy", "resumed") != true || c.ID != id {
			t.Fatalf("greeted with %s", c.Welcome.Raw)
		}
		if attempt%2 == 0 {
			c.WantBodies(attempt, attempt+1)
		}
		c.Fence()
	}
	bad := fmt.Sprintf("umf.resume.%s.%s.x", id, token)
	_, err := harness.Dial(t.Context(), nodes[0].URL("/"), harness.DialOptions{Protocols: []string{"umf.v1", bad}})
	if refused := (*harness.Refused)(nil); !errors.As(err, &refused) || refused.Status != 400 {
		t.Errorf("an offer without a number: %v, want 400", err)
	}
	for _, node := range nodes {
		if said := string(node.Log.Since(0)); strings.Contains(said, token) {
			t.Error("the secret is in the log")
		}
	}
}

// R31: who does not get the session that it names in the handshake is told why in the
// first message, which is of a fresh session.
func TestResumeWithTheHandshakeRefused(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world.World, first, second *harness.Node) {
		old := world.DialWith(t, first.URL("/"), harness.DialOptions{Acked: true})
		for offer, why := range map[string]string{
			strings.Repeat("a", len(old.ID)) + "." + old.Token + ".1": "expired",
			"nosuch." + old.Token + ".1":                              "expired",
			old.ID + "." + old.Token + "x.1.7":                        "token",
		} {
			c := world.DialWith(t, second.URL("/"), harness.DialOptions{Acked: true, Protocols: []string{"umf.resume." + offer}})
			if c.Welcome.At("bdy", "resumed") != false || c.Welcome.At("bdy", "why") != why || c.ID == old.ID || c.Token == "" {
				t.Errorf("%s: greeted with %s", why, c.Welcome.Raw)
			}
			c.Fence()
			w.PushNumbers(t, c.ID, 0, 3)
			c.WantBodies(0, 3)
		}
		old.Fence()
	})
}
