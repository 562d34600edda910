package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// pairs runs a test with two clients on one node, and on two.
func pairs(t *testing.T, test func(t *testing.T, from, to *world.Client)) {
	for name, nodes := range map[string][2]string{"one node": {"a", "a"}, "two nodes": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.Shared(t)
			test(t, world.Dial(t, w.Node(t, nodes[0])), world.Dial(t, w.Node(t, nodes[1])))
		})
	}
}

// Hydra: to hydra-router:/, fwd B@client:/.
func TestForward(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *world.Client) {
		body := `{"text": "é", "n": 9007199254740993}`
		from.Send(fmt.Sprintf(`{"to":"hydra-router:/","frm":"%s","mid":"f-1","ts":"2026-01-12T20:16:29.157Z","typ":"chat","fwd":"%s","bdy":%s}`,
			from.Address(), to.Address(), body))
		m := to.Next()
		world.Want(t, m, "to", to.Address(), "frm", from.Address(), "mid", "f-1", "ts", "2026-01-12T20:16:29.157Z",
			"typ", "chat", "via", from.Router+"@hydra-router:/", "fwd", to.Address())
		if m.Body() != body {
			t.Errorf("body %s, want %s", m.Body(), body)
		}
		from.Quiet()
	})
}

// Hydra: to ID@client:/ without forward.
func TestToClient(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *world.Client) {
		mid := from.Send(object{"to": to.Address(), "typ": "chat", "bdy": object{"n": 1}})
		m := to.Next()
		world.Want(t, m, "to", to.Address(), "frm", from.Address(), "mid", mid, "typ", "chat")
		if m.Body() != `{"n":1}` {
			t.Errorf("body %s", m.Body())
		}
		from.Quiet()
	})
}

func TestToClientLongForm(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *world.Client) {
		from.Send(fmt.Sprintf(`{"to":"%s","from":"%s","mid":"l","timestamp":"2026-01-12T20:16:29.157Z","body":"x"}`, to.Address(), from.Address()))
		world.Want(t, to.Next(), "frm", from.Address(), "mid", "l", "ts", "2026-01-12T20:16:29.157Z", "bdy", "x")
	})
}

// A client may write to itself.
func TestToOneself(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "a"))
	mid := c.Send(object{"to": c.Address(), "bdy": "me"})
	world.Want(t, c.Next(), "mid", mid, "bdy", "me")
}

// Messages of one sender to one session keep their order.
func TestForwardKeepsOrder(t *testing.T) {
	t.Parallel()
	pairs(t, func(t *testing.T, from, to *world.Client) {
		const count = 300
		for i := 1; i <= count; i++ {
			from.Send(object{"to": "hydra-router:/", "fwd": to.Address(), "bdy": i})
		}
		for i := 1; i <= count; i++ {
			if got := to.Next().Body(); got != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, got)
			}
		}
	})
}

// Nothing is stored for a session that does not exist.
func TestToUnknownClient(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c := world.Dial(t, w.Node(t, "a"))
	stranger := strings.Repeat("q7", 13)
	match := w.NATS.Watch.Match(stranger)
	c.WantError(c.Call(object{"to": stranger + "@client:/", "bdy": 1}), "")
	c.WantError(c.Call(object{"to": "hydra-router:/", "fwd": stranger + "@client:/", "bdy": 1}), "")
	if err := w.NATS.Watch.Fence(world.Patient(t), w.Conn); err != nil {
		t.Fatal(err)
	}
	for _, subject := range w.NATS.Watch.Seen(match) {
		if strings.HasPrefix(subject, "umf.v1.out.") || strings.HasPrefix(subject, "umf.v1.live.") {
			t.Errorf("stored for a session that does not exist, on %s", subject)
		}
	}
}

// Hydra: to hydra-router:/queue, fwd svc:/ is queued for the service, which
// need not be running.
func TestQueueForService(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name := world.Unique(t)
	c := world.Dial(t, w.Node(t, "a"))
	first := c.Send(object{"to": "hydra-router:/queue", "fwd": name + ":/job", "typ": "job", "bdy": object{"n": 1}})
	second := c.Send(object{"to": "hydra-router:/queue", "fwd": name + ":/job", "typ": "job", "bdy": object{"n": 2}})
	c.Fence()

	stream, err := w.JS.Stream(t.Context(), "UMF_WORK")
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
		world.Want(t, m, "mid", mid, "frm", c.Address(), "typ", "job")
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
