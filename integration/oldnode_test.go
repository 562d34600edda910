//go:build oldnode

package integration

import (
	"errors"
	"os"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// TestOldNode, R77: a node of the version before entries had a number of their form,
// beside one of this version. It needs a binary of that one:
//
//	git worktree add /tmp/old 2b6a5a1 && (cd /tmp/old && go build -o hydrant.old ./edge/cmd/hydrant)
//	HYDRANT_OLD=/tmp/old/hydrant.old go test -tags oldnode -run TestOldNode -v ./integration
func TestOldNode(t *testing.T) {
	old := os.Getenv("HYDRANT_OLD")
	if old == "" {
		t.Fatal("HYDRANT_OLD names no binary: see the comment of this test")
	}
	ctx := t.Context()
	n, err := harness.StartNATS(ctx, harness.NATSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	start := func(name, binary string) *harness.Node {
		node, err := harness.LaunchNode(harness.NodeOptions{Name: name, Binary: binary, NATS: n.URL()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(node.Kill)
		return node
	}
	refuses := func(node *harness.Node) { // and says why
		t.Helper()
		if err := harness.Until(ctx, func() error {
			if err := node.Ready(); err == nil || !strings.Contains(err.Error(), "UMF_EXPIRY: max_msgs") {
				return errors.Join(errors.New("the old node does not refuse"), err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	dial := func(node *harness.Node) *harness.Client {
		t.Helper()
		c, err := harness.Enter(ctx, node.URL("/"), harness.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Drop)
		return c
	}
	former := start("old", old)
	if err := former.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	parked, onOld := dial(former), dial(former)
	if err := parked.Send(harness.Object{"to": parked.Address(), "frm": parked.Address(), "mid": "m1", "bdy": "waits"}); err != nil {
		t.Fatal(err)
	}
	if _, err := parked.Find(ctx, func(m harness.Message) bool { return m.Mid() == "m1" }); err != nil {
		t.Fatal(err)
	}
	parked.Close()

	// The new one starts: the old one's next look at the streams ends its readiness.
	node := start("new", "")
	if err := node.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	refuses(former)
	t.Log("running:", former.Ready())
	var refused *harness.Refused
	if c, err := harness.Dial(ctx, former.URL("/"), harness.DialOptions{}); !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("the old node takes a client: %v %v", c, err)
	}

	// What the old one has left is taken over.
	back := dial(node)
	if answer, err := back.Resume(ctx, "reconnect", harness.Object{"id": parked.ID, "token": parked.Token}); err != nil || answer.At("bdy", "resumed") != true {
		t.Errorf("the old node's session: %s, %v", answer.Raw, err)
	}

	// What is new it leaves alone: it neither serves it nor calls it expired.
	fresh := dial(node)
	answer, err := onOld.Resume(ctx, "reconnect", harness.Object{"id": fresh.ID, "token": fresh.Token})
	code, reason, cerr := onOld.Closed(ctx)
	t.Logf("the old node about a new session: %s %v, closed %d %q %v", answer.Raw, err, code, reason, cerr)
	if code != 1013 {
		t.Error("the old node concludes something about a new session")
	}
	if err := fresh.Send(harness.Object{"to": fresh.Address(), "frm": fresh.Address(), "mid": "m2", "bdy": "still here"}); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Find(ctx, func(m harness.Message) bool { return m.Mid() == "m2" }); err != nil {
		t.Error("the new session is not served any more:", err)
	}

	// An old one that starts now never becomes ready, and breaks nothing.
	late := start("late", old)
	refuses(late)
	t.Log("starting:", late.Ready())
	late.Kill()
	if err := node.Ready(); err != nil {
		t.Error(err)
	}
	if err := node.Crash(ctx); err != nil { // looks at all streams
		t.Error(err)
	}
}
