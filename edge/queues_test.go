package edge

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// workSubjects are those of the stream of work, which change may change.
func workSubjects(t *testing.T, nc *nats.Conn, change ...string) []string {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), scheme.WorkStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	if len(change) > 0 {
		cfg.Subjects = change
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	return cfg.Subjects
}

// TestQueueQuestion: a node tells a service whether another has a work queue.
func TestQueueQuestion(t *testing.T) {
	t.Parallel()
	nc := connected(t)
	n, _ := begin(t, nc.ConnectedUrl(), func(*Config) {})
	ask := func(want string) {
		t.Helper()
		m, err := nc.Request(scheme.QueueExistsSubject("svc"), nil, harness.Patience)
		if err != nil || string(m.Data) != want {
			t.Errorf("%v, %v, want %s", m, err, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error { // the node listens
		_, err := nc.Request(scheme.QueueExistsSubject("other"), nil, harness.Patience)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	ask(scheme.ExistsNo)
	if err := n.nats.link.Load().store.Queues().Keep(t.Context(), []scheme.Service{"svc"}); err != nil {
		t.Fatal(err)
	}
	ask(scheme.ExistsYes)
	spy, err := nc.SubscribeSync("umf.v1.work.mine")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest(scheme.QueueExistsSubject("svc"), "umf.v1.work.mine", nil); err != nil {
		t.Fatal(err)
	}
	ask(scheme.ExistsYes) // which comes behind it
	if n, _, _ := spy.Pending(); n != 0 {
		t.Error("a node answers where it is told to")
	}
}

// TestWorkOfFormerNodes: a node has the stream of a former version take work of the
// queues alone, but not while nodes of such a version run.
func TestWorkOfFormerNodes(t *testing.T) {
	t.Parallel()
	nc := connected(t)
	first, _ := begin(t, nc.ConnectedUrl(), func(cfg *Config) { cfg.QueueServices = append(cfg.QueueServices, "svc") })
	named := []string{scheme.WorkSubject("svc")}
	if have := workSubjects(t, nc); !slices.Equal(have, named) {
		t.Errorf("a new stream has the subjects %v", have)
	}
	const any = scheme.PrefixWork + "*"
	former, err := micro.AddService(nc, micro.Config{Name: "hydra-router", Version: "1.0.0",
		Metadata: map[string]string{scheme.MetaKind: scheme.KindNode, scheme.MetaInstance: string(scheme.NewNodeID()), scheme.MetaForm: "3"}})
	if err != nil {
		t.Fatal(err)
	}
	workSubjects(t, nc, any)
	check := func() {
		t.Helper()
		c := storeCheck{node: first}
		if err := c.check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check()
	if have := workSubjects(t, nc); !slices.Equal(have, []string{any}) {
		t.Errorf("while a former node runs the subjects are %v", have)
	}
	if err := former.Stop(); err != nil {
		t.Fatal(err)
	}
	narrowed := func(look func()) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		if err := harness.Until(ctx, func() error {
			look()
			if have := workSubjects(t, nc); !slices.Equal(have, named) {
				return fmt.Errorf("the subjects are %v", have)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	narrowed(check) // what the former node has answered is used for a moment more
	workSubjects(t, nc, any)
	begin(t, nc.ConnectedUrl(), func(*Config) {}) // one that starts sees to it
	narrowed(func() {})
}
