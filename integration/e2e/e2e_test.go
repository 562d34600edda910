//go:build e2e

// Package e2e runs Hydrant with programs of another world: the npm packages
// that its users write clients and services with.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"hydrant/integration/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, fault := range harness.Shutdown() {
		fmt.Println("after all tests:", fault)
		code = max(code, 1)
	}
	os.Exit(code)
}

// installed puts the packages of package-lock.json in place.
func installed(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatal("Node.js is missing: apt-get install nodejs npm")
	}
	if _, err := os.Stat("node_modules/ajv"); err == nil {
		return
	}
	if text, err := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, text)
	}
}

// TestE2ENode: a service with a bare subscription and respond(), and a client
// that is the npm ws package, across two nodes.
func TestE2ENode(t *testing.T) {
	installed(t)
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	nats, err := harness.StartNATS(ctx, harness.NATSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer nats.Stop()
	var urls []string
	for _, name := range []string{"a", "b"} {
		node, err := harness.StartNode(ctx, harness.NodeOptions{Name: name, NATS: nats.URL()})
		if err != nil {
			t.Fatal(err)
		}
		defer node.Kill()
		urls = append(urls, node.URL("/"))
	}
	startService(t, ctx, nats)
	client := exec.CommandContext(ctx, "node", "client.mjs", urls[0], urls[1])
	client.Stderr = os.Stderr
	text, err := client.Output()
	if err != nil {
		t.Fatalf("client: %v\n%s", err, text)
	}
	type message struct {
		Frm, Rmid, Typ string
		Bdy            struct {
			ID, Hello string
			Resumed   bool
		}
	}
	var saw struct {
		ID                      string
		Answer, Resumed, Second message
	}
	if err := json.Unmarshal(text, &saw); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for mid, answer := range map[string]message{"ask-1": saw.Answer, "ask-2": saw.Second} {
		if answer.Rmid != mid || answer.Frm != "greeter:/" || answer.Bdy.Hello != saw.ID+"@client:/" {
			t.Errorf("%s is answered with %+v", mid, answer)
		}
	}
	if saw.Resumed.Typ != "connection" || saw.Resumed.Bdy.ID != saw.ID || !saw.Resumed.Bdy.Resumed {
		t.Errorf("resumed with %+v", saw.Resumed)
	}
}

// startService runs a service in Node without the kit until the test ends, and
// waits until it listens.
func startService(t *testing.T, ctx context.Context, nats *harness.NATS) {
	t.Helper()
	code, err := os.ReadFile("plain.mjs")
	if err != nil {
		t.Fatal(err)
	}
	// From standard input, so that node looks for its packages here.
	service := exec.CommandContext(ctx, "node", "--input-type=module", "-")
	service.Stdin = bytes.NewReader(code)
	service.Env = append(os.Environ(), "NATS_URL="+nats.URL())
	service.Stdout, service.Stderr = os.Stderr, os.Stderr
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = service.Process.Kill() // it ends with the test
		_ = service.Wait()
	})
	nc, err := nats.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := harness.Until(ctx, func() error {
		_, err := nc.Request("umf.v1.svc.greeter", []byte(`{"frm":"test:/","mid":"m","bdy":1}`), harness.Patience)
		return err // "no responders" comes at once
	}); err != nil {
		t.Fatal(err)
	}
}
