package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
)

// pairs runs a test with two clients on one node, and on two.
func pairs(t *testing.T, test func(t *testing.T, from, to *client)) {
	for name, nodes := range map[string][2]string{"one node": {"a", "a"}, "two nodes": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shared(t)
			test(t, dial(t, w.node(t, nodes[0])), dial(t, w.node(t, nodes[1])))
		})
	}
}

// HYDRA: to hydra-router:/, fwd B@client:/.
func TestForward(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *client) {
		body := `{"text": "é", "n": 9007199254740993}`
		from.send(fmt.Sprintf(`{"to":"hydra-router:/","frm":"%s","mid":"f-1","ts":"2026-01-12T20:16:29.157Z","typ":"chat","fwd":"%s","bdy":%s}`,
			from.Address(), to.Address(), body))
		m := to.next()
		want(t, m, "to", to.Address(), "frm", from.Address(), "mid", "f-1", "ts", "2026-01-12T20:16:29.157Z",
			"typ", "chat", "via", from.Router+"@hydra-router:/", "fwd", to.Address())
		if m.Body() != body {
			t.Errorf("body %s, want %s", m.Body(), body)
		}
		from.quiet()
	})
}

// HYDRA: to ID@client:/ without forward.
func TestToClient(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *client) {
		mid := from.send(object{"to": to.Address(), "typ": "chat", "bdy": object{"n": 1}})
		m := to.next()
		want(t, m, "to", to.Address(), "frm", from.Address(), "mid", mid, "typ", "chat")
		if m.Body() != `{"n":1}` {
			t.Errorf("body %s", m.Body())
		}
		from.quiet()
	})
}

func TestToClientLongForm(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *client) {
		from.send(fmt.Sprintf(`{"to":"%s","from":"%s","mid":"l","timestamp":"2026-01-12T20:16:29.157Z","body":"x"}`, to.Address(), from.Address()))
		want(t, to.next(), "frm", from.Address(), "mid", "l", "ts", "2026-01-12T20:16:29.157Z", "bdy", "x")
	})
}

// A client may write to itself.
func TestToOneself(t *testing.T) {
	t.Parallel()
	c := dial(t, shared(t).node(t, "a"))
	mid := c.send(object{"to": c.Address(), "bdy": "me"})
	want(t, c.next(), "mid", mid, "bdy", "me")
}

// Messages of one sender to one session keep their order.
func TestForwardKeepsOrder(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *client) {
		const count = 300
		for i := 1; i <= count; i++ {
			from.send(object{"to": "hydra-router:/", "fwd": to.Address(), "bdy": i})
		}
		for i := 1; i <= count; i++ {
			if got := to.next().Body(); got != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, got)
			}
		}
	})
}

// HYDRA and DESIGN §4: nothing is stored for a session that does not exist.
func TestToUnknownClient(t *testing.T) {
	t.Parallel()
	w := shared(t)
	c := dial(t, w.node(t, "a"))
	stranger := strings.Repeat("q7", 13)
	match := w.nats.Watch.Match(stranger)
	c.wantError(c.call(object{"to": stranger + "@client:/", "bdy": 1}), "")
	c.wantError(c.call(object{"to": "hydra-router:/", "fwd": stranger + "@client:/", "bdy": 1}), "")
	if err := w.nats.Watch.Fence(patient(t), w.nc); err != nil {
		t.Fatal(err)
	}
	for _, subject := range w.nats.Watch.Seen(match) {
		if strings.HasPrefix(subject, "umf.v1.out.") || strings.HasPrefix(subject, "umf.v1.live.") {
			t.Errorf("stored for a session that does not exist, on %s", subject)
		}
	}
}

// HYDRA: to hydra-router:/queue, fwd svc:/ is queued for the service, which
// need not be running.
func TestQueueForService(t *testing.T) {
	t.Parallel()
	w := shared(t)
	name := unique(t)
	c := dial(t, w.node(t, "a"))
	first := c.send(object{"to": "hydra-router:/queue", "fwd": name + ":/job", "typ": "job", "bdy": object{"n": 1}})
	second := c.send(object{"to": "hydra-router:/queue", "fwd": name + ":/job", "typ": "job", "bdy": object{"n": 2}})
	c.fence()

	stream, err := w.js.Stream(t.Context(), "UMF_WORK")
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := stream.CreateOrUpdateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: name, FilterSubject: "umf.v1.work." + name, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, mid := range []string{first, second} {
		stored, err := consumer.Next(jetstream.FetchMaxWait(harness.Patience))
		if err != nil {
			t.Fatal(err)
		}
		m, err := harness.Parse(stored.Data())
		if err != nil {
			t.Fatal(err)
		}
		want(t, m, "mid", mid, "frm", c.Address(), "typ", "job")
		if body := fmt.Sprintf(`{"n":%d}`, i+1); m.Body() != body {
			t.Errorf("body %s, want %s", m.Body(), body)
		}
		if err := stored.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.DeleteConsumer(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}
