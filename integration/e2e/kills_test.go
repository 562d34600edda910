//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"hydrant/integration/harness"
)

// C10: a client through six kills of its node, under pushes, requests and messages to
// another session: each of them has one outcome, and it is true.
func TestE2EClientKills(t *testing.T) {
	everywhere(t, func(t *testing.T, in string) {
		w := newClientWorld(t, in)
		w.killsTold(in != "chromium")
	})
}

// killsTold is all of that, and whether the frames were written down.
func (w *clientWorld) killsTold(frames bool) {
	w.t.Helper()
	other, err := harness.Dial(w.ctx, w.nodes[0].URL("/"), harness.DialOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	other.Drop() // what is sent to it waits
	w.start("{}")
	w.kills(other)
	w.arrived(1)
	if frames {
		described(w.t, w.frames)
	}
	w.told(other, func(outcome any, stored int) bool {
		return outcome == "accepted" && stored == 1 || outcome == "unknown" && stored <= 1
	})
}

// What kills does.
const (
	rounds, pushes, asks = 7, 300, 15
	sends                = 14 // a tenth of a mailbox, 100 at most, is one sender's
)

// kills pushes, asks, and sends to another session, in rounds, and kills the client's node
// between them.
func (w *clientWorld) kills(other *harness.Client) {
	w.t.Helper()
	for round := range rounds {
		ask := func(third int) {
			for i := asks / 3 * third; i < asks/3*(third+1); i++ {
				w.eval(fmt.Sprintf(`page.request("ask-%d-%d", "echo:/", {hello: "%d-%d"}, {timeout: 60000})`, round, i, round, i))
			}
		}
		say := func(from, to int) {
			for i := from; i < to; i++ {
				w.eval(fmt.Sprintf(`page.send("say-%d-%d", %q, {say: "%d-%d"})`, round, i, other.ID+"@client:/", round, i))
			}
		}
		ask(0)
		say(0, sends/2)
		if round == rounds-1 {
			ask(1)
			ask(2)
			say(sends/2, sends)
			w.push(2000 - w.pushed)
			break
		}
		w.push(pushes / 2)
		i := w.at()
		ask(1)
		w.nodes[i].Kill()
		ask(2)
		say(sends/2, sends)
		w.push(pushes / 2)
		w.until(`page.client.state === "open"`)
		if err := w.nodes[i].Start(); err != nil {
			w.t.Fatal(err)
		}
		if err := w.nodes[i].WaitReady(w.ctx); err != nil {
			w.t.Fatal(err)
		}
	}
}

// told waits until everything that kills has handed over has an outcome, and checks that
// each has one, and whether it is true of what is stored for the other session.
func (w *clientWorld) told(other *harness.Client, isTrue func(outcome any, stored int) bool) {
	w.t.Helper()
	w.until(fmt.Sprintf("Object.keys(page.outcomes).length === %d", rounds*(asks+sends)))
	stored := w.storedFor(other)
	for name, outcomes := range value[map[string][]any](w, "page.outcomes") {
		if len(outcomes) != 1 {
			w.t.Errorf("%s has %d outcomes: %v", name, len(outcomes), outcomes)
			continue
		}
		what, is := name[4:], outcomes[0]
		if name[:3] == "ask" {
			if answer, _ := is.(map[string]any); answer["hello"] != what {
				w.t.Errorf("%s: %v", name, is)
			}
		} else if n := stored[what]; !isTrue(is, n) {
			w.t.Errorf("%s is %v, and stored %d times", name, is, n)
		}
	}
}

// storedFor is what a session's mailbox holds, by what it says.
func (w *clientWorld) storedFor(c *harness.Client) map[string]int {
	w.t.Helper()
	again, err := harness.Dial(w.ctx, w.nodes[0].URL("/"), harness.DialOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer again.Drop()
	if _, err := again.Resume(w.ctx, "reconnect", harness.Object{"id": c.ID, "token": c.Token}); err != nil {
		w.t.Fatal(err)
	}
	if err := again.Send(harness.Object{"to": c.ID + "@client:/", "frm": c.ID + "@client:/", "mid": "last", "bdy": harness.Object{"say": "last"}}); err != nil {
		w.t.Fatal(err)
	}
	stored := make(map[string]int)
	for stored["last"] == 0 {
		m, err := again.Next(w.ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		if say, ok := m.At("bdy", "say").(string); ok {
			stored[say]++
		}
	}
	return stored
}
