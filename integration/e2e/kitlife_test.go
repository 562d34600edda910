//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
	"hydrant/umf"
)

type object = harness.Object

// ledger is a service of the kit for Go.
func ledger(t *testing.T, w *world.World, h bus.Handler) *bus.Service {
	t.Helper()
	nc, err := w.NATS.Connect("ledger")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s, err := bus.NewService(nc, bus.ServiceConfig{Name: "ledger", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.HandleAny(h), s.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) }) // the connection may be closed already
	return s
}

// number reads a push of the service's; -1: it is none.
func number(m harness.Message) int {
	if n, ok := m.At("bdy", "n").(float64); ok && m.Type() == "number" {
		return int(n)
	}
	return -1
}

// numbers takes pushes from first on, in order, each once, until last.
func numbers(t *testing.T, c *world.Client, first, last int) (m harness.Message) {
	t.Helper()
	for n := first; n <= last; n++ {
		if m = c.Next(); number(m) != n {
			t.Fatalf("got %s, want %d", m.Raw, n)
		}
	}
	return m
}

// TestKitSurvivesNATS: NATS is killed while a service pushes. What it pushed comes, each
// once, and in order; and the service goes on.
func TestKitSurvivesNATS(t *testing.T) {
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "a", nil)
	startKit(t, "shop.mjs", "NATS_URL="+w.NATS.URL())
	await(t, w, "shop")
	c := world.DialAcked(t, node)
	mid := c.Send(object{"to": "shop:/", "typ": "numbers", "bdy": object{"from": 0, "to": 200}})
	numbers(t, c, 0, 20) // all of them fit into a window, which this client never confirms
	w.NATS.Servers[0].Kill()
	w.RestartNATS(t, node)
	numbers(t, c, 21, 199)
	if m := c.Answer(mid); m.Body() != `"done"` {
		t.Errorf("answer %s", m.Raw)
	}
	if m := c.Call(object{"to": "shop:/", "typ": "echo", "bdy": 1}); m.Body() != "1" {
		t.Errorf("answer %s", m.Raw)
	}
}

// TestKitSessionMoves: the client of a service goes to another node, which is then killed.
// What the service pushes meanwhile reaches it where it is.
func TestKitSessionMoves(t *testing.T) {
	w := world.Own(t, harness.NATSOptions{})
	a, b := w.Start(t, "a", nil), w.Start(t, "b", nil)
	startKit(t, "shop.mjs", "NATS_URL="+w.NATS.URL())
	await(t, w, "shop")
	c := world.DialAcked(t, a)
	c.Send(object{"to": "shop:/", "typ": "numbers", "mid": "all", "bdy": object{"from": 0, "to": 300}})
	seq := sequence(t, numbers(t, c, 0, 50))
	c = c.ResumeAcked(b, seq)
	seq = sequence(t, numbers(t, c, 51, 150))
	b.Kill()
	c = c.ResumeAcked(a, seq)
	numbers(t, c, 151, 299)
	if m := c.Answer("all"); m.Body() != `"done"` {
		t.Errorf("answer %s", m.Raw)
	}
}

// sequence is the place of a message in its mailbox.
func sequence(t *testing.T, m harness.Message) uint64 {
	t.Helper()
	text, _ := m.At("hdr", "x-seq").(string)
	var seq json.Number = json.Number(text)
	n, err := seq.Int64()
	if err != nil {
		t.Fatalf("no sequence: %s", m.Raw)
	}
	return uint64(n)
}

// TestKitPushes: to a session that is away, to one that is not there, and to none; a push
// that is repeated is stored once, as the kit for Go has it.
func TestKitPushes(t *testing.T) {
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "a", nil)
	startKit(t, "shop.mjs", "NATS_URL="+w.NATS.URL())
	await(t, w, "shop")
	ids, err := w.Conn.SubscribeSync("umf.v1.out.*.*")
	if err := errors.Join(err, w.Conn.Flush()); err != nil {
		t.Fatal(err)
	}
	away, c := world.Dial(t, node), world.Dial(t, node)
	away.Drop()
	push := func(to string, p object) string {
		t.Helper()
		return c.Call(object{"to": "shop:/", "typ": "push", "bdy": object{"to": to, "push": p}}).Body()
	}
	for _, to := range []string{away.ID, away.Address()} {
		if got := push(to, object{"mid": "m1", "type": "news", "body": object{"b": 2, "a": []any{1.5, "é", nil}}}); got != `"done"` {
			t.Errorf("push to %s: %s", to, got)
		}
	}
	if got := push(string(scheme.NewSID()), object{"body": 1}); got != `{"is":"no_session"}` {
		t.Errorf("push to nobody: %s", got)
	}
	if got := push("nobody", object{"body": 1}); got != `{"is":"invalid"}` {
		t.Errorf("push to no session: %s", got)
	}
	var m *nats.Msg
	var e umf.Envelope
	for m == nil || !strings.Contains(string(m.Data), `"news"`) { // nodes' markers are there, too
		if m, err = ids.NextMsg(harness.Patience); err != nil {
			t.Fatal(err)
		}
	}
	if err := umf.Scan(m.Data, &e); err != nil {
		t.Fatal(err)
	}
	if id := m.Header.Get("Nats-Msg-Id"); !strings.HasPrefix(id, away.ID+":") || !strings.HasSuffix(id, ":m1~"+umf.ContentID(e.AppendContent(nil))) {
		t.Errorf("Nats-Msg-Id %q of %s", id, m.Data)
	}
	back := away.Resume(node)
	if m := back.Next(); m.Type() != "news" || m.Mid() != "m1" {
		t.Errorf("got %s", m.Raw)
	}
	back.Fence() // the second one was the same
	back.Quiet()
}

// TestKitCalls: services of both kits call each other, and believe no word of who a client
// is.
func TestKitCalls(t *testing.T) {
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "a", nil)
	s := ledger(t, w, func(ctx context.Context, r *bus.Request) error {
		return r.Reply(ctx, []any{r.Message.Body, r.Session, r.Identity, r.Path})
	})
	startKit(t, "shop.mjs", "NATS_URL="+w.NATS.URL())
	startKit(t, "shop.mjs", "NATS_URL="+w.NATS.URL(), "NAME=other")
	await(t, w, "shop", "other", "ledger")
	c := world.Dial(t, node)
	for to, want := range map[string]string{
		"ledger": `[{"x":1},"","","/"]`, "ledger:[GET]/v1/a?b": `[{"x":1},"","","/v1/a?b"]`, "other": `{"error":"What?","code":"unknown"}`,
		"nobody": `{"is":"unavailable"}`, "no body": `{"is":"invalid"}`,
	} {
		if m := c.Call(object{"to": "shop:/", "typ": "call", "bdy": object{"to": to, "body": object{"x": 1}}}); m.Body() != want {
			t.Errorf("a call of %s: %s, want %s", to, m.Body(), want)
		}
	}
	answer, err := s.Call(world.Patient(t), "shop:[POST]/v1/items/7?q=a%20b", 0)
	if err != nil || string(answer.Body) != `{"id":"7","q":"a b","body":0,"type":""}` {
		t.Errorf("from Go: %v, %v", answer, err)
	}
	forged := &nats.Msg{Subject: "umf.v1.call.shop", Data: []byte(`{"to":"shop:/","frm":"x:/","typ":"who","bdy":1}`),
		Header: nats.Header{"Umf-Identity": {"admin"}, "Umf-Session": {c.ID}, "Umf-Mailbox": {world.Mailbox(c.ID)}}}
	m, err := w.Conn.RequestMsg(forged, harness.Patience)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := umf.Parse(m.Data); err != nil || string(got.Body) != `["",""]` {
		t.Errorf("a call that says who it is of: %s", m.Data)
	}
	if m := c.Call(object{"to": "shop:/", "typ": "who", "bdy": 1}); m.Body() != `["`+c.ID+`",""]` {
		t.Errorf("who: %s", m.Raw)
	}
}

// TestKitByPath: one handler answers a WebSocket and HTTP, and the service is listed with
// its health.
func TestKitByPath(t *testing.T) {
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "a", nil)
	startKit(t, "shop.mjs", "NATS_URL="+w.NATS.URL())
	await(t, w, "shop")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.HTTP("/v1/items/7?q=a%20b"), strings.NewReader(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, body, err := harness.Do(request)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"result":{"id":"7","q":"a b","body":{"n":1},"type":"application/json"}`) {
		t.Errorf("%v: %s", err, body)
	}
	c := world.Dial(t, node)
	if m := c.Call(object{"to": "shop:[POST]/v1/items/8", "bdy": object{"n": 2}}); m.Body() != `{"id":"8","q":null,"body":{"n":2},"type":""}` {
		t.Errorf("%s", m.Raw)
	}
	for _, path := range []string{"/v1/router/list/services", "/v1/router/list/routes"} {
		text, err := harness.Get(node.HTTP(path))
		if want := map[string]string{"/v1/router/list/services": `"version":"1.2.3"`, "/v1/router/list/routes": "[post]/v1/items/{id}"}[path]; err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %s, %v", path, text, err)
		}
	}
	m, err := w.Conn.Request("$SRV.STATS.shop", nil, harness.Patience)
	if err != nil {
		t.Fatal(err)
	}
	var stats struct {
		Type, Name, Version string
		Endpoints           []struct {
			Subject  string
			Requests int `json:"num_requests"`
			Data     scheme.Vitals
		}
	}
	if err := json.Unmarshal(m.Data, &stats); err != nil || stats.Type != "io.nats.micro.v1.stats_response" || len(stats.Endpoints) != 3 ||
		stats.Endpoints[1].Subject != "umf.v1.svc.shop" || stats.Endpoints[1].Requests != 2 || !strings.HasPrefix(stats.Endpoints[1].Data.NodeVersion, "v") {
		t.Errorf("%s: %v", m.Data, err)
	}
}

// registerQueue registers the work queue of a service.
func registerQueue(t *testing.T, w *world.World, service string) jetstream.Stream {
	t.Helper()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	log := &harness.Log{}
	p, err := harness.StartProcess("setup", bin.Hydrant, []string{"setup", "-queues", service}, []string{"NATS_URL=" + w.NATS.URL(), "EDGE_MAILBOX_STREAMS=2"}, log, log)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	stream, err := w.JS.Stream(world.Patient(t), "UMF_WORK")
	if err != nil {
		t.Fatalf("%v\n%s", err, log.Tail(4096))
	}
	return stream
}

// TestKitWork: work is done, tried again, refused and given up; what is given up goes to
// the dead letters; and NATS may be killed meanwhile.
func TestKitWork(t *testing.T) {
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "a", nil)
	stream := registerQueue(t, w, "shop")
	done := make(chan string, 100)
	ledger(t, w, func(ctx context.Context, r *bus.Request) error {
		done <- string(r.Message.Body)
		return r.Reply(ctx, "ok")
	})
	dead, err := w.Conn.SubscribeSync("umf.v1.dead.shop")
	if err := errors.Join(err, w.Conn.Flush()); err != nil {
		t.Fatal(err)
	}
	startKit(t, "shop.mjs", "NATS_URL="+w.NATS.URL(), "WORK=1")
	await(t, w, "shop", "ledger")
	c := world.Dial(t, node)
	work := func(kind string) string {
		return c.Send(object{"to": "hydra-router:/queue", "fwd": "shop:/job", "bdy": object{"kind": kind}})
	}
	for kind, want := range map[string]string{
		"plain": `{"kind":"plain","n":1}`, "twice": `{"kind":"twice","n":2}`, "refuse": `{"error":"Not that","code":"refused"}`,
		"never": `{"error":"The service could not handle the message","code":"service_error"}`,
	} {
		if m := c.Answer(work(kind)); m.Body() != want {
			t.Errorf("%s: %s", kind, m.Raw)
		}
	}
	for range 2 {
		m, err := dead.NextMsg(harness.Patience)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := umf.Parse(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{`{"kind":"refuse"}`: "refused 1", `{"kind":"never"}`: "service_error 3"}[string(msg.Body)]
		if got := m.Header.Get("Umf-Reason") + " " + m.Header.Get("Umf-Attempts"); got != want || m.Header.Get("Umf-Session") != c.ID {
			t.Errorf("%s: %v", m.Data, m.Header)
		}
	}
	for range 2 {
		<-done
	}
	if m := c.Call(object{"to": "shop:/", "typ": "enqueue", "bdy": object{"to": "shop:/own", "body": object{"kind": "own"}}}); m.Body() != `"done"` {
		t.Errorf("enqueue: %s", m.Raw)
	}
	if m := c.Call(object{"to": "shop:/", "typ": "enqueue", "bdy": object{"to": "nobody", "body": 1}}); m.Body() != `{"is":"no_queue"}` {
		t.Errorf("work for who has no queue: %s", m.Raw)
	}
	if got := <-done; got != `{"kind":"own","n":1,"user":"","path":"/own"}` {
		t.Errorf("work of its own: %s", got)
	}
	w.NATS.Servers[0].Kill()
	w.RestartNATS(t, node)
	if m := c.Answer(work("after")); m.Body() != `{"kind":"after","n":1}` {
		t.Errorf("after NATS was killed: %s", m.Raw)
	}
	if err := harness.Until(world.Patient(t), func() error {
		info, err := stream.Info(t.Context())
		if err == nil && info.State.Msgs != 0 {
			err = errors.New("work is left")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestKitEnds: a service that is told to end finishes what has begun, and its process ends
// well.
func TestKitEnds(t *testing.T) {
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "a", nil)
	begun, release := make(chan struct{}), make(chan struct{})
	ledger(t, w, func(ctx context.Context, r *bus.Request) error {
		close(begun)
		<-release
		return r.Reply(ctx, "late")
	})
	p := startKit(t, "shop.mjs", "NATS_URL="+w.NATS.URL())
	await(t, w, "shop", "ledger")
	c := world.Dial(t, node)
	mid := c.Send(object{"to": "shop:/", "typ": "call", "bdy": object{"to": "ledger", "body": 1}})
	<-begun
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	other := world.Dial(t, node) // whose messages do not wait behind the first one's
	if err := harness.Until(world.Patient(t), func() error {
		if m := other.Call(object{"to": "shop:/", "typ": "echo", "bdy": 1}); m.Type() != "error" && m.Error() == "" {
			return errors.New("it takes messages still")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	close(release)
	if m := c.Answer(mid); m.Body() != `"late"` {
		t.Errorf("answer %s", m.Raw)
	}
	<-p.Exited()
	if err := p.Err(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// TestKitWaits: a service that is there before NATS, whose credentials are then replaced.
func TestKitWaits(t *testing.T) {
	servers, err := harness.StartNATS(t.Context(), harness.NATSOptions{User: "u", Password: "first"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = servers.Stop() })
	server := servers.Servers[0]
	server.Kill()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startKit(t, "shop.mjs", "NATS_URL=nats://"+server.Addr, "NATS_USER=u", "NATS_PASSWORD_FILE="+file)
	said := func(text string) error {
		if !strings.Contains(string(p.log.Tail(1<<16)), text) {
			return errors.New("not said yet: " + text)
		}
		return nil
	}
	if err := harness.Until(world.Patient(t), func() error { return said("waiting for NATS") }); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	answers := func(password string) error {
		nc, err := nats.Connect("nats://u:" + password + "@" + server.Addr)
		if err != nil {
			return err
		}
		defer nc.Close()
		_, err = nc.Request("$SRV.PING.shop", nil, harness.Patience)
		return err
	}
	if err := harness.Until(world.Patient(t), func() error { return answers("first") }); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.Rotate("second"); err != nil {
		t.Fatal(err)
	}
	if err := harness.Until(world.Patient(t), func() error { return answers("second") }); err != nil {
		t.Fatal(err)
	}
}
