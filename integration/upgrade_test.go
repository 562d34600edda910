package integration

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness/world"
)

// TestNewerRequest: a node that is asked for a session in a form of later versions says
// which form it knows, and keeps the session: R76.
func TestNewerRequest(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.Dial(t, w.Node(t, "a"))
	inbox := nats.NewInbox()[len("_INBOX."):]
	reply := "_INBOX_edge." + inbox
	answers, err := w.Conn.SubscribeSync(reply)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`{"v":2,"do":"release","sid":"` + c.ID + `","fence":"1"}`, `{"v":99,"do":{"this":"and that"},"sid":7}`,
	} {
		if err := w.Conn.PublishRequest("umf.v1.node."+c.Router, reply, []byte(text)); err != nil {
			t.Fatal(err)
		}
		m, err := answers.NextMsgWithContext(world.Patient(t))
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			V     int
			Found bool
		}
		if err := json.Unmarshal(m.Data, &answer); err != nil || answer.V != 1 || answer.Found {
			t.Errorf("%s is answered with %s", text, m.Data)
		}
	}
	c.Fence()
}
