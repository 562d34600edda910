//go:build e2e

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// command runs the binary, which is to end well.
func command(t *testing.T, env []string, args ...string) {
	t.Helper()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	log := &harness.Log{}
	p, err := harness.StartProcess("hydrant", bin.Hydrant, args, env, log, log)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	if err := p.Err(); err != nil {
		t.Fatalf("hydrant %s: %v\n%s", strings.Join(args, " "), err, log.Tail(4096))
	}
}

// TestKitAccounts: with exactly what `hydrant setup nats` lets services do, in both forms,
// all of the kit works, and NATS refuses nothing that it tries but the look for the other
// form's queue.
func TestKitAccounts(t *testing.T) {
	for _, form := range []string{"isolated", "shared"} {
		t.Run(form, func(t *testing.T) { tryAccounts(t, form == "shared") })
	}
}

func tryAccounts(t *testing.T, shared bool) {
	dir := t.TempDir()
	args := []string{"setup", "nats", "-dir", dir, "-services", "shop,other,ledger"}
	if shared {
		args = append(args, "-shared")
	}
	command(t, nil, args...)
	url := startConfigured(t, dir)
	env := func(user string) []string {
		text, err := os.ReadFile(filepath.Join(dir, "users", user+".env"))
		if err != nil {
			t.Fatal(err)
		}
		return append(strings.Fields(string(text)), "NATS_URL="+url)
	}
	command(t, append(env("setup"), "EDGE_MAILBOX_STREAMS=2"), "setup", "-queues", "shop")
	node := startNode(t, env("edge"))
	shop := startKit(t, "shop.mjs", append(env("shop"), "WORK=1")...)
	startKit(t, "shop.mjs", append(env("other"), "NAME=other")...)
	startKit(t, "shop.mjs", append(env("ledger"), "NAME=ledger")...)
	c := world.Dial(t, node)
	say := func(typ string, body any) string {
		return c.Call(object{"to": "shop:/", "typ": typ, "bdy": body}).Body()
	}
	if err := harness.Until(world.Patient(t), func() error {
		if got := say("echo", 1); got != "1" {
			return errors.New(got)
		}
		if got := say("call", object{"to": "other", "body": 1}); !strings.Contains(got, "unknown") {
			return errors.New(got)
		}
		if got := say("call", object{"to": "ledger", "body": 1}); !strings.Contains(got, "unknown") {
			return errors.New(got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{c.ID: `"done"`, string(scheme.NewSID()): `{"is":"no_session"}`} {
		if got := say("push", object{"to": what, "push": object{"type": "pushed", "body": 1}}); got != want {
			t.Errorf("push: %s, want %s", got, want)
		}
	}
	c.Find(func(m harness.Message) bool { return m.Type() == "pushed" })
	if m := c.Call(object{"to": "shop:[POST]/v1/items/8", "bdy": object{"n": 2}}); m.At("bdy", "id") != "8" {
		t.Errorf("request: %s", m.Raw)
	}
	if m := c.Call(object{"to": "hydra-router:/queue", "fwd": "shop:/job", "bdy": object{"kind": "twice"}}); m.Body() != `{"kind":"twice","n":2}` {
		t.Errorf("work: %s", m.Raw)
	}
	if got := say("enqueue", object{"to": "shop:/own", "body": object{"kind": "refuse"}}); got != `"done"` {
		t.Errorf("enqueue: %s", got)
	}
	if got := say("enqueue", object{"to": "ledger", "body": 1}); got != `{"is":"no_queue"}` { // S88
		t.Errorf("work for who has no queue: %s", got)
	}
	if err := harness.Until(world.Patient(t), func() error {
		text, err := harness.Get(node.HTTP("/v1/router/list/services"))
		if err == nil && !(strings.Contains(string(text), `"shop"`) && strings.Contains(string(text), `"ledger"`)) {
			err = errors.New(string(text))
		}
		return err
	}); err != nil {
		t.Errorf("services: %v", err)
	}
	if err := shop.Terminate(world.Patient(t)); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(shop.log.Tail(1 << 16))) {
		if strings.Contains(line, "ermission") {
			t.Errorf("the service said %s", line)
		}
	}
}

// startConfigured starts a server with the accounts in dir.
func startConfigured(t *testing.T, dir string) (url string) {
	t.Helper()
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "nats.conf")
	text := "listen: \"" + addr + "\"\njetstream { store_dir: \"" + filepath.Join(dir, "data") + "\" }\ninclude \"accounts.conf\"\n"
	if err := write(main, text); err != nil {
		t.Fatal(err)
	}
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	log := &harness.Log{}
	p, err := harness.StartProcess("natsd", bin.Natsd, []string{"-config", main}, nil, log, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if err := harness.Until(world.Patient(t), func() error {
		nc, err := nats.Connect("nats://" + addr)
		if err == nil {
			nc.Close()
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil // it is there
		}
		return err
	}); err != nil {
		t.Fatalf("%v\n%s", err, log.Tail(4096))
	}
	return "nats://" + addr
}

// startNode starts a node with the credentials of nodes.
func startNode(t *testing.T, env []string) *harness.Node {
	t.Helper()
	variables := map[string]string{"EDGE_MAILBOX_STREAMS": "2"}
	url := ""
	for _, line := range env {
		name, value, _ := strings.Cut(line, "=")
		if name == "NATS_URL" {
			url = value
			continue
		}
		variables[name] = value
	}
	node, err := harness.StartNode(world.Patient(t), harness.NodeOptions{Name: "a", NATS: url, Env: variables})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	return node
}

// TestKitInside: on the machine of a node with NATS inside, a service in Node needs its
// data directory and nothing else, and its work queue is registered by itself.
func TestKitInside(t *testing.T) {
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	node, err := harness.StartNode(world.Patient(t), harness.NodeOptions{Name: "inside", Env: map[string]string{
		"EDGE_DATA_DIR": data, "EDGE_NATS_LISTEN": addr, "EDGE_MAILBOX_STREAMS": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	startKit(t, "shop.mjs", "EDGE_DATA_DIR="+data, "WORK=1")                                                    // finds the address, too
	startKit(t, "shop.mjs", "EDGE_DATA_DIR="+data, "NATS_URL=nats://"+addr, "NAME=ledger")                      // is told it
	stranger := startKit(t, "shop.mjs", "EDGE_DATA_DIR="+t.TempDir(), "NATS_URL=nats://"+addr, "NAME=stranger") // has no password
	c := world.Dial(t, node)
	if err := harness.Until(world.Patient(t), func() error {
		if m := c.Call(object{"to": "shop:/", "typ": "call", "bdy": object{"to": "ledger", "body": 1}}); !strings.Contains(m.Body(), "unknown") {
			return errors.New(string(m.Raw))
		}
		if m := c.Call(object{"to": "hydra-router:/queue", "fwd": "shop:/job", "bdy": object{"kind": "plain"}}); m.At("bdy", "kind") != "plain" {
			return errors.New(string(m.Raw))
		}
		if !strings.Contains(string(stranger.log.Tail(1<<16)), "waiting for NATS") {
			return errors.New("who has no password does not say that it waits")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{"ledger": `{"is":"no_queue"}`, "shop": `"done"`} { // S88
		if m := c.Call(object{"to": "shop:/", "typ": "enqueue", "bdy": object{"to": to, "body": object{"kind": "refuse"}}}); m.Body() != want {
			t.Errorf("work for %s: %s", to, m.Raw)
		}
	}
}
