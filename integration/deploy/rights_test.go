package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// rights is a NATS server with what `hydrant setup nats` has written, and streams made by
// `hydrant setup`.
type rights struct {
	dir    string
	shared bool
	ns     *server.Server
}

// hydrant runs a command of the binary.
func hydrant(t *testing.T, env []string, args ...string) {
	t.Helper()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin.Hydrant, args...)
	cmd.Env = append(os.Environ(), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("hydrant %s: %v\n%s", strings.Join(args, " "), err, text)
	}
}

// write has the files written for these services.
func (r *rights) write(t *testing.T, services string) {
	t.Helper()
	args := []string{"setup", "nats", "-dir", r.dir, "-services", services}
	if r.shared {
		args = append(args, "-shared")
	}
	hydrant(t, nil, args...)
}

func startRights(t *testing.T, shared bool, services string) *rights {
	t.Helper()
	r := &rights{dir: t.TempDir(), shared: shared}
	r.write(t, services)
	main := "listen: 127.0.0.1:-1\njetstream { store_dir: " + filepath.Join(r.dir, "data") + " }\ninclude \"accounts.conf\"\n"
	if err := os.WriteFile(filepath.Join(r.dir, "nats.conf"), []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(filepath.Join(r.dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	if r.ns, err = server.NewServer(o); err != nil {
		t.Fatal(err)
	}
	r.ns.Start()
	t.Cleanup(func() { r.ns.Shutdown(); r.ns.WaitForShutdown() })
	if !r.ns.ReadyForConnections(harness.Patience) {
		t.Fatal("the server does not start")
	}
	hydrant(t, r.env(t, scheme.UserSetup), "setup", "-queues", "echo")
	return r
}

// env is the environment of a user.
func (r *rights) env(t *testing.T, user string) []string {
	t.Helper()
	text := read(t, filepath.Join(r.dir, "users", user+".env"))
	return append(strings.Fields(text), "NATS_URL="+r.ns.ClientURL())
}

// config is what a user connects with.
func (r *rights) config(t *testing.T, user string) bus.Config {
	t.Helper()
	c := bus.Config{}
	for _, variable := range r.env(t, user) {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "NATS_URL":
			c.URL = value
		case "NATS_USER":
			c.User = value
		case "NATS_PASSWORD":
			c.Password = value
		}
	}
	return c
}

// node starts a node with its user, which may make no streams, and with these settings
// besides.
func (r *rights) node(t *testing.T, name string, settings ...string) *harness.Node {
	t.Helper()
	env := map[string]string{"EDGE_QUEUE_LIMIT": "1000", "EDGE_ADMIN_TOKEN": adminToken}
	for _, variable := range append(r.env(t, scheme.UserEdge), settings...) {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	node, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: name, NATS: r.ns.ClientURL(), Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// evil connects as a service that has turned evil.
func (r *rights) evil(t *testing.T, user string) *nats.Conn {
	t.Helper()
	nc, err := bus.Connect(r.config(t, user), "evil", nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // it is refused much
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// forms runs a test with both forms of what is written.
func forms(t *testing.T, f func(t *testing.T, shared bool)) {
	for form, shared := range map[string]bool{"isolated": false, "shared": true} {
		t.Run(form, func(t *testing.T) { f(t, shared) })
	}
}

// TestRightsSuffice: with what is written nodes and services can do all that they have
// to, and are refused nothing.
func TestRightsSuffice(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, shared bool) {
		r := startRights(t, shared, "echo,caller")
		a, b := r.node(t, "a"), r.node(t, "b")
		s := startService(t, r.config(t, "echo"))
		exercise(t.Context(), t, a, b)
		s.exercise(t.Context(), t, a)
		caller, err := bus.NewService(r.evil(t, "caller"), bus.ServiceConfig{Name: "caller"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := caller.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		if m, err := caller.Call(t.Context(), "echo:[GET]/x", "called"); err != nil || string(m.Body) != `"called"` {
			t.Errorf("call: %v %v", m, err)
		}
		plainService(t, r, a)
		for _, p := range []*harness.Node{a, b} {
			if text := string(p.Log.Since(0)); strings.Contains(strings.ToLower(text), "violation") {
				t.Errorf("%s was refused something:\n%s", p.Name, text)
			}
		}
	})
}

// plainService answers with the plain Respond of a NATS library.
func plainService(t *testing.T, r *rights, node *harness.Node) {
	t.Helper()
	nc := r.evil(t, "caller")
	if _, err := nc.QueueSubscribe("umf.v1.svc.caller", "caller", func(m *nats.Msg) {
		var q struct{ Via, Mid, Frm string }
		if json.Unmarshal(m.Data, &q) == nil {
			text, _ := json.Marshal(map[string]any{"to": q.Via, "frm": "caller:/", "mid": "a-" + q.Mid, "rmid": q.Mid, "bdy": q.Frm})
			_ = m.Respond(text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	c := dial(t, node)
	defer c.Close()
	for _, to := range []string{"caller:/", "caller:[GET]/x"} {
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		if err := harness.Until(ctx, func() error { // interest may take its time
			answer, err := c.Call(ctx, harness.Object{"to": to, "bdy": 1})
			if err == nil && answer.Error() != "" {
				return errors.New(answer.Error())
			}
			return err
		}); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// TestReload: a service is added and one is removed by a reload, and what others push
// meanwhile comes, all of it.
func TestReload(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, shared bool) {
		r := startRights(t, shared, "echo,old")
		node := r.node(t, "a")
		s := startService(t, r.config(t, "echo"))
		old := r.evil(t, "old")
		c := dial(t, node)
		defer c.Close()
		want(t.Context(), t, s.opened, c.ID)
		const pushes = 300
		pushed := make(chan error, 1)
		begun := make(chan struct{})
		go func() {
			for i := range pushes {
				m, err := s.NewMessage(c.Address(), i+1)
				if err == nil {
					err = s.Push(t.Context(), c.ID, m)
				}
				if err != nil {
					pushed <- err
					return
				}
				if i == pushes/10 {
					close(begun)
				}
			}
			pushed <- nil
		}()
		select {
		case <-begun:
		case err := <-pushed:
			t.Fatal(err)
		}
		r.write(t, "echo,new")
		for range 2 { // the second one for the account that is new
			if err := r.ns.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-pushed; err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		for i := range pushes {
			if m, err := c.Find(ctx, func(m harness.Message) bool { return m.Type() == "" && m.Body() != "" }); err != nil {
				t.Fatalf("message %d: %v, %v", i, m, err)
			}
		}
		if err := harness.Until(ctx, func() error {
			if old.IsConnected() {
				return errors.New("the service that was removed is connected")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		fresh, err := bus.NewService(r.evil(t, "new"), bus.ServiceConfig{Name: "new"})
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(fresh.HandleAny(func(ctx context.Context, q *bus.Request) error { return q.Reply(ctx, "new") }), fresh.Start())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := fresh.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		for _, to := range []string{"new:[GET]/", "echo:[GET]/x"} {
			if err := harness.Until(ctx, func() error {
				answer, err := c.Call(ctx, harness.Object{"to": to, "bdy": 1})
				if err == nil && answer.Error() != "" {
					return errors.New(answer.Error())
				}
				return err
			}); err != nil {
				t.Errorf("%s: %v", to, err)
			}
		}
	})
}

func dial(t *testing.T, node *harness.Node) *harness.Client {
	t.Helper()
	c, err := harness.Dial(t.Context(), node.URL("/"), harness.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEvilService: what a service can try to take or give that is not its own.
func TestEvilService(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, shared bool) {
		r := startRights(t, shared, "echo,evil")
		node := r.node(t, "a")
		startService(t, r.config(t, "echo"))
		nc := r.evil(t, "evil")
		survivesAttack(t, nc, node, shared, "secret", nil, mayEvilSee)
	})
}

// survivesAttack has a client of the node, which has asked echo with a body, be attacked.
// Its session is then as it was, and the attacker has seen no secret, and only what it
// may. before is called when all works; nil: nothing is.
func survivesAttack(t *testing.T, nc *nats.Conn, node *harness.Node, shared bool, body string,
	before func(ctx context.Context, victim *harness.Client), maySee func(subject string) bool) {
	t.Helper()
	seen := spyOnAll(t, nc)
	victim := dial(t, node)
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	works := func() error {
		answer, err := victim.Call(ctx, harness.Object{"to": "echo:[GET]/x", "bdy": body})
		if err == nil && answer.Error() != "" {
			err = errors.New(answer.Error())
		}
		return err
	}
	if err := harness.Until(ctx, works); err != nil {
		t.Fatal(err)
	}
	if before != nil {
		before(ctx, victim)
	}
	attack(t, nc, shared, victim)
	if err := works(); err != nil {
		t.Error(err)
	}
	// The session can be resumed, and nothing that was forged has come.
	again := dial(t, node)
	answer, err := again.Resume(ctx, "reconnect", harness.Object{"id": victim.ID, "token": victim.Token})
	if err != nil || answer.At("bdy", "resumed") != true {
		t.Fatalf("resume: %s %v", answer.Raw, err)
	}
	for _, c := range []*harness.Client{victim, again} {
		for _, m := range c.Inbox() {
			if strings.Contains(string(m.Raw), "forged") {
				t.Errorf("came: %s", m.Raw)
			}
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, m := range seen() {
		if strings.Contains(string(m.Data), "secret") || !maySee(m.Subject) {
			t.Errorf("seen on %s: %s", m.Subject, m.Data)
		}
	}
}

// mayEvilSee: its own subjects, and what happened to sessions.
func mayEvilSee(subject string) bool {
	return strings.HasPrefix(subject, "umf.v1.evt.session.") || strings.HasPrefix(subject, "_INBOX_evil.") || strings.HasPrefix(subject, "$SRV.")
}

// spyOnAll subscribes to whatever there is.
func spyOnAll(t *testing.T, nc *nats.Conn) (seen func() []*nats.Msg) {
	t.Helper()
	all := make(chan *nats.Msg, 1<<16)
	for _, subject := range []string{
		">", "umf.>", "umf.v1.>", "umf.v1.*.*", "umf.v1.svc.*", "umf.v1.svc.echo", "umf.v1.inst.>", "umf.v1.out.>", "umf.v1.live.>", "umf.v1.reply.>", "umf.v1.req.>",
		"umf.v1.node.>", "umf.v1.work.>", "umf.v1.evt.session.*.*.*", "umf.v1.expiry.>", "umf.v1.gone.>", "umf.v1.call.>", "$KV.>", "$JS.>", "$JS.API.>", "$JS.EVENT.>", "$SYS.>", "$SRV.>",
		"_INBOX.>", "_INBOX_edge.>", "_INBOX_echo.>", "_INBOX_setup.>", "_INBOX_admin.>", "_R_.>", "_INBOX_evil.>", "$SRV.INFO",
	} {
		if _, err := nc.ChanSubscribe(subject, all); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() (list []*nats.Msg) {
		for len(all) > 0 {
			list = append(list, <-all)
		}
		return list
	}
}

// attack forges whatever can be forged about a session and its node.
func attack(t *testing.T, nc *nats.Conn, shared bool, victim *harness.Client) {
	t.Helper()
	sid := scheme.SID(victim.ID)
	text := []byte(`{"to":"` + victim.ID + `@client:/","frm":"echo:/","mid":"forged","bdy":"forged"}`)
	order := []byte(`{"v":1,"do":"release","sid":"` + victim.ID + `","fence":"1"}`)
	node := "umf.v1.node." + victim.Router
	entry := scheme.SessionKey(sid)
	later := time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339Nano)
	copied := nats.Header{"Nats-Sequence": {"1000000"}, "Nats-Last-Sequence": {"999999"}, "Nats-Time-Stamp": {later}, "Umf-Identity": {"admin"}}
	send := func(subject, reply string, data []byte) {
		if err := nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Header: copied, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	for _, reply := range []string{"", entry, node, scheme.StoredSubject(sid), "_INBOX_edge.x"} {
		byServer := shared && slices.Contains([]string{entry, scheme.StoredSubject(sid)}, reply) // what the server itself says there is what accounts are for
		for _, subject := range []string{
			"umf.v1.svc.echo", "umf.v1.inst.echo.x", scheme.StoredSubject(sid), "umf.v1.live." + victim.ID[:1] + "." + victim.ID, entry, "umf.v1.expiry.a.b",
			"umf.v1.gone." + victim.ID[:1] + "." + victim.ID, "umf.v1.evt.session.expired." + victim.ID[:1] + "." + victim.ID, "$SRV.INFO", "$SRV.PING", "$SRV.STATS",
			"umf.v1.req." + victim.Router + ".0_1", "umf.v1.req." + victim.Router + ".0_2", "$JS.API.STREAM.DELETE.UMF_OUT_0", "$JS.API.STREAM.PURGE.KV_UMF_SESSIONS",
			"$JS.API.STREAM.MSG.GET.KV_UMF_SESSIONS", "$JS.API.DIRECT.GET.KV_UMF_SESSIONS." + entry, "$JS.API.CONSUMER.MSG.NEXT.UMF_WORK.echo", "JS.EDGE.CONSUMER.MSG.NEXT.UMF_WORK.echo",
			"$JS.ACK.UMF_WORK.echo.1.1.1.1.1",
		} {
			if !byServer || !strings.Contains(subject, ".UMF_WORK.") {
				send(subject, reply, text)
			}
		}
		send(node, reply, order)
		if byServer {
			continue
		}
		send("umf.v1.work.evil", reply, text)
		send("umf.v1.out.a.nosuchsession", reply, text)
		pull := []byte(`{"batch":1,"no_wait":true}`)
		send("JS.EDGE.CONSUMER.MSG.NEXT.UMF_WORK.evil", reply, pull)
		send("$JS.API.CONSUMER.MSG.NEXT.UMF_WORK.evil", reply, pull)
		send("JS.EDGE.CONSUMER.INFO.UMF_WORK.evil", reply, nil)
		config := []byte(`{"stream_name":"UMF_WORK","config":{"durable_name":"evil","filter_subject":"umf.v1.work.evil","deliver_subject":"` + cmp.Or(reply, node) + `","ack_policy":"none"}}`)
		for _, api := range []string{"$JS.API.", "JS.EDGE."} {
			send(api+"CONSUMER.CREATE.UMF_WORK.evil.umf.v1.work.evil", "", config)
			send(api+"CONSUMER.DURABLE.CREATE.UMF_WORK.evil", "", config)
		}
	}
	if err := nc.FlushTimeout(harness.Patience); err != nil {
		t.Fatal(err)
	}
}
