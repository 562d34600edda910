package integration

import (
	"fmt"
	"net/http"
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
// need not be running. Unlike there, it must have registered a queue.
func TestQueueForService(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name := world.Unique(t)
	c := world.Dial(t, w.Node(t, "a"))
	consumer := w.RegisterQueue(t, name)
	first := c.Send(object{"to": "hydra-router:/queue", "fwd": name + ":/job", "typ": "job", "bdy": object{"n": 1}})
	second := c.Send(object{"to": "hydra-router:/queue", "fwd": name + ":/job", "typ": "job", "bdy": object{"n": 2}})
	c.Fence()

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
	if err := w.JS.DeleteConsumer(t.Context(), "UMF_WORK", name); err != nil {
		t.Fatal(err)
	}
}

// S88: work for services that have registered no queue is refused, and nothing of it is
// stored, over HTTP either.
func TestWorkForNobody(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	c := world.Dial(t, node)
	for i := range 20 {
		name := fmt.Sprint(world.Unique(t), "-", i)
		match := w.NATS.Watch.Match("umf.v1.work." + name)
		answer := c.Call(object{"to": "hydra-router:/queue", "fwd": name + ":/", "bdy": i + 1})
		if answer.Error() != "No work queue is registered for "+name || answer.At("bdy", "code") != "no_queue" {
			t.Errorf("answered with %s", answer.Raw)
		}
		text := fmt.Sprintf(`{"to":"%s:/","frm":"web:/","bdy":1}`, name)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.HTTP("/v1/router/queue"), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if response, page, err := harness.Do(request); err != nil || response.StatusCode != http.StatusNotFound {
			t.Errorf("posted: %v %s", err, page)
		}
		if i == 0 { // a moment after a no it may be registered
			w.RegisterQueue(t, name)
			c.Send(object{"to": "hydra-router:/queue", "fwd": name + ":/", "bdy": 1})
			c.Quiet()
		}
		if err := w.NATS.Watch.Fence(world.Patient(t), w.Conn); err != nil {
			t.Fatal(err)
		}
		if seen := w.NATS.Watch.Seen(match); (len(seen) > 0) != (i == 0) {
			t.Errorf("%d: stored: %v", i, seen)
		}
	}
}
