//go:build rolling

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
)

// Versions that stand for this one and for one of a higher form of entries. They look at
// the store more often.
var (
	often     = harness.Change{File: "edge/contract.go", Old: "contractEvery = 30 * time.Second", New: "contractEvery = time.Second"}
	laterForm = harness.Change{File: "bus/scheme/entry.go", Old: "const Form = 3\n", New: "const Form = 4\n"}
)

// forms is a store that nodes of two versions use.
type forms struct {
	t     *testing.T
	nats  *harness.NATS
	js    jetstream.JetStream
	later string // the binary of the later version
	this  string
}

func newForms(t *testing.T) *forms {
	t.Helper()
	f := &forms{t: t}
	var err error
	if f.this, err = harness.BuildChanged(t.TempDir(), "1.0.0", []harness.Change{often}); err != nil {
		t.Fatal(err)
	}
	if f.later, err = harness.BuildChanged(t.TempDir(), "99.0.0", []harness.Change{often, laterForm}); err != nil {
		t.Fatal(err)
	}
	if f.nats, err = harness.StartNATS(t.Context(), harness.NATSOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.nats.Stop(); err != nil {
			t.Error(err)
		}
	})
	nc, err := f.nats.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if f.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *forms) launch(name, binary string) *harness.Node {
	f.t.Helper()
	node, err := harness.LaunchNode(harness.NodeOptions{Name: name, Binary: binary, NATS: f.nats.URL(),
		Env: map[string]string{"EDGE_DRAIN_GRACE": "0", "EDGE_DRAIN_TIMEOUT": "1s"}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(node.Kill)
	return node
}

// setup runs hydrant setup of the later version.
func (f *forms) setup() string {
	f.t.Helper()
	cmd := exec.Command(f.later, "setup")
	cmd.Env = []string{"NATS_URL=" + f.nats.URL()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// inUse is the form that the directory's stream names.
func (f *forms) inUse() string {
	f.t.Helper()
	stream, err := f.js.Stream(f.t.Context(), "KV_UMF_SESSIONS")
	if err != nil {
		f.t.Fatal(err)
	}
	return stream.CachedInfo().Config.Metadata["umf.form"]
}

// entry is a session's, with its revision.
func (f *forms) entry(sid string) (form int, revision uint64) {
	f.t.Helper()
	bucket, err := f.js.KeyValue(f.t.Context(), "UMF_SESSIONS")
	if err != nil {
		f.t.Fatal(err)
	}
	value, err := bucket.Get(f.t.Context(), sid)
	if err != nil {
		f.t.Fatal(err)
	}
	var e struct{ V int }
	if err := json.Unmarshal(value.Value(), &e); err != nil {
		f.t.Fatal(err)
	}
	return e.V, value.Revision()
}

// refuses returns when a node is not ready because of the form, and says so.
func (f *forms) refuses(node *harness.Node) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error {
		if err := node.Ready(); err == nil || !strings.Contains(err.Error(), "number 4, and this version knows up to 3") {
			return fmt.Errorf("%s does not refuse: %w", node.Name, err)
		}
		return nil
	}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *forms) dial(node *harness.Node) *harness.Client {
	f.t.Helper()
	c, err := harness.Enter(f.t.Context(), node.URL("/"), harness.DialOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Drop)
	return c
}

// TestNewerForm: hydrant setup does not raise the form while a node runs that does not
// know it. One that stood still meanwhile, or that starts later, is not ready and says so,
// claims and writes nothing, and says of no session that it has expired. What it had goes
// on elsewhere: R75.
func TestNewerForm(t *testing.T) {
	t.Parallel()
	f := newForms(t)
	ctx := t.Context()
	old, node := f.launch("old", f.this), f.launch("later", f.later)
	if err := errors.Join(old.WaitReady(ctx), node.WaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
	kept, curious, guessing, elsewhere := f.dial(old), f.dial(old), f.dial(old), f.dial(node)
	if form, _ := f.entry(elsewhere.ID); form != 3 || f.inUse() != "3" {
		t.Fatalf("the later version writes form %d, in use is %s, beside a node that knows 3", form, f.inUse())
	}
	if out := f.setup(); !strings.Contains(out, kept.Router) || strings.Contains(out, elsewhere.Router) || f.inUse() != "3" {
		t.Fatalf("setup, while a node of before runs: in use is %s, %s", f.inUse(), out)
	}

	if err := old.Freeze(); err != nil {
		t.Fatal(err)
	}
	if out := f.setup(); f.inUse() != "4" {
		t.Fatalf("setup, while no node of before answers: in use is %s, %s", f.inUse(), out)
	}
	if err := old.Thaw(); err != nil {
		t.Fatal(err)
	}
	f.refuses(old)
	t.Log("running:", old.Ready())
	_, before := f.entry(kept.ID)
	fresh := f.dial(node)
	if form, _ := f.entry(fresh.ID); form != 4 {
		t.Errorf("a fresh session has form %d", form)
	}
	var refused *harness.Refused
	if c, err := harness.Dial(ctx, old.URL("/"), harness.DialOptions{}); !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("the old node takes a client: %v %v", c, err)
	}
	_, revision := f.entry(fresh.ID)
	for asks, body := range map[*harness.Client]harness.Object{
		curious:  {"id": fresh.ID, "token": fresh.Token},
		guessing: {"id": strings.Repeat("a", 26), "token": fresh.Token},
	} {
		answer, err := asks.Resume(ctx, "reconnect", body)
		if err == nil {
			t.Errorf("the old node says of %v: %s", body["id"], answer.Raw)
		}
		if code, why, err := asks.Closed(ctx); err != nil || code != 1013 {
			t.Errorf("%v: closed with %d %s, %v", body["id"], code, why, err)
		}
	}
	if _, now := f.entry(fresh.ID); now != revision || !fresh.Alive() {
		t.Error("the old node has touched what it does not know")
	}

	if err := old.Terminate(ctx); err != nil {
		t.Error(err)
	}
	if form, now := f.entry(kept.ID); form != 3 || now != before {
		t.Errorf("the old node has written an entry: form %d, revision %d, then %d", form, before, now)
	}
	f.comesBack(node, kept)
	late := f.launch("late", f.this)
	f.refuses(late)
	t.Log("starting:", late.Ready())
	if f.inUse() != "4" || node.Ready() != nil {
		t.Errorf("a node of before has changed the store: %s, %v", f.inUse(), node.Ready())
	}
}

// comesBack has a client of a node that has left come back, to what was stored meanwhile.
func (f *forms) comesBack(node *harness.Node, c *harness.Client) {
	f.t.Helper()
	body := []byte(`{"to":"` + c.ID + `@client:/","frm":"test:/","mid":"waits","bdy":1}`)
	if _, err := f.js.PublishMsg(f.t.Context(), &nats.Msg{Subject: "umf.v1.out." + c.ID[:1] + "." + c.ID, Data: body}); err != nil {
		f.t.Fatal(err)
	}
	back := f.dial(node)
	if answer, err := back.Resume(f.t.Context(), "reconnect", harness.Object{"id": c.ID, "token": c.Token}); err != nil || answer.At("bdy", "resumed") != true {
		f.t.Fatalf("the session of the old node: %s, %v", answer.Raw, err)
	}
	if _, err := back.Find(f.t.Context(), func(m harness.Message) bool { return m.Mid() == "waits" }); err != nil {
		f.t.Error(err)
	}
	if form, _ := f.entry(c.ID); form != 4 {
		f.t.Errorf("its entry has form %d", form)
	}
}
