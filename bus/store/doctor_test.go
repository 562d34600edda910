package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// matches reports whether a subject fits a pattern of NATS.
func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s) || token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

// TestProbesCoverPermissions: what a node may do is tried, and nothing else.
func TestProbesCoverPermissions(t *testing.T) {
	perms := scheme.NodePermissions(4)
	list := probes(4)
	tried := func(pattern string, subscribe bool) bool {
		return slices.ContainsFunc(list, func(p probe) bool { return p.subscribe == subscribe && matches(pattern, p.subject) })
	}
	for _, pattern := range perms.Publish {
		if !tried(pattern, false) {
			t.Errorf("publishing to %s is not tried", pattern)
		}
	}
	for _, pattern := range perms.Subscribe {
		if !tried(pattern, true) {
			t.Errorf("subscribing to %s is not tried", pattern)
		}
	}
	for _, p := range list {
		patterns := perms.Publish
		if p.subscribe {
			patterns = perms.Subscribe
		}
		if !slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p.subject) }) {
			t.Errorf("%+v is not what a node does", p)
		}
	}
}

// verdict returns the worst of the checks that name what, and their lines.
func verdict(checks []Finding, what string) (Verdict, string) {
	worst, lines := OK, ""
	for _, c := range checks {
		if strings.Contains(c.What, what) {
			worst, lines = max(worst, c.Verdict), lines+c.String()+"\n"
		}
	}
	return worst, lines
}

// dial is what CheckPermissions connects with.
func dial(cfg bus.Config) func(opts ...nats.Option) (*nats.Conn, error) {
	return func(opts ...nats.Option) (*nats.Conn, error) { return bus.Connect(cfg, "hydrant-doctor", opts...) }
}

// TestDoctorChangesNothing: neither where nothing is yet, nor where sessions
// are.
func TestDoctorChangesNothing(t *testing.T) {
	ns := natstest.Start(t)
	nc := connect(t, ns.URL())
	ctx := natstest.Context(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	everything := func() string {
		var b strings.Builder
		streams := js.ListStreams(ctx)
		for info := range streams.Info() {
			text, err := json.Marshal(info.Config)
			if err != nil {
				t.Fatal(err)
			}
			// Not what is left: the store's own markers expire.
			fmt.Fprintf(&b, "%s: last sequence %d, %d consumers\n", text, info.State.LastSeq, info.State.Consumers)
		}
		if err := streams.Err(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	cfg := Config{Streams: 2}
	examine := func() []Finding {
		before := everything()
		checks := append(Diagnose(ctx, nc, cfg), CheckPermissions(ctx, dial(bus.Config{URL: ns.URL()}), cfg.Streams)...)
		if after := everything(); after != before {
			t.Errorf("before:\n%safter:\n%s", before, after)
		}
		for _, c := range checks {
			if c.Verdict == Fail {
				t.Error(c)
			}
		}
		return checks
	}
	if v, lines := verdict(examine(), "streams"); v != OK || !strings.Contains(lines, "creates") || !strings.Contains(lines, "UMF_OUT_0") {
		t.Errorf("%v: %s", v, lines)
	}
	s := openStore(t, nc, cfg)
	cfg = s.Config()
	sid := scheme.NewSID()
	if _, err := s.Publish(ctx, sid, Outgoing{Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	checks := examine()
	if v, lines := verdict(checks, "streams"); v != OK || !strings.Contains(lines, "5 of 5 hold") {
		t.Errorf("%v: %s", v, lines)
	}
	for _, what := range []string{"NATS", "JetStream", "clock", "permissions", "answer other nodes"} {
		if v, lines := verdict(checks, what); v != OK || lines == "" {
			t.Errorf("%s: %v: %s", what, v, lines)
		}
	}
	cfg.QueueLimit++ // another configuration: a node would change the streams
	if v, lines := verdict(examine(), "streams"); v != Warn || !strings.Contains(lines, "changes at its start") {
		t.Errorf("%v: %s", v, lines)
	}
}

// TestDoctorFindsFaults: what keeps a node from being ready is a failure.
func TestDoctorFindsFaults(t *testing.T) {
	ctx := natstest.Context(t)
	none := connect(t, natstest.StartServer(t, server.Options{}).ClientURL())
	if v, lines := verdict(Diagnose(ctx, none, Config{}), "JetStream"); v != Fail || !strings.Contains(lines, "-js") {
		t.Errorf("%v: %s", v, lines)
	}
	nc := connect(t, natstest.Start(t).URL())
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "UMF_OUT_0", Subjects: []string{"umf.v1.out.*.*"}, Retention: jetstream.WorkQueuePolicy}); err != nil {
		t.Fatal(err)
	}
	checks := Diagnose(ctx, nc, Config{Streams: 1})
	if v, lines := verdict(checks, "retention"); v != Fail || lines == "" {
		t.Errorf("%v: %s", v, lines)
	}
	if v, lines := verdict(Diagnose(ctx, nc, Config{Streams: 3}), "configuration"); v != Fail || lines == "" {
		t.Errorf("%v: %s", v, lines)
	}
}

// TestDoctorFindsDenials: a missing permission is named, with what it is for.
func TestDoctorFindsDenials(t *testing.T) {
	t.Parallel() // it waits
	less := func(drop ...string) scheme.Permissions {
		p := scheme.NodePermissions(2)
		del := func(s string) bool { return slices.Contains(drop, s) }
		p.Publish, p.Subscribe = slices.DeleteFunc(p.Publish, del), slices.DeleteFunc(p.Subscribe, del)
		return p
	}
	ns := natstest.StartServer(t, server.Options{JetStream: true, Users: []*server.User{
		natstest.User("node", scheme.NodePermissions(2)),
		natstest.User("less", less(scheme.PrefixOut+"*.*", scheme.APIMsgGet+"UMF_OUT_1", scheme.PrefixLive+"*.*.*")),
		natstest.User("deaf", less(scheme.PrefixNode+"*")),
		{Username: "admin", Password: "p"},
	}})
	ctx := natstest.Context(t)
	examine := func(name string) []Finding {
		return CheckPermissions(ctx, dial(bus.Config{URL: ns.ClientURL(), User: name, Password: "p", InboxPrefix: scheme.NodeInbox}), 2)
	}
	for _, name := range []string{"node", "admin"} {
		for _, c := range examine(name) {
			if c.Verdict != OK {
				t.Errorf("%s: %s", name, c)
			}
		}
	}
	for name, wants := range map[string]map[string]string{
		"less": {"store in mailboxes": "umf.v1.out.", "read mailboxes": "$JS.API.STREAM.MSG.GET.UMF_OUT_1", "copies": "umf.v1.live."},
		"deaf": {"orders to": "umf.v1.node.", "orders of": "umf.v1.node.", "answer other nodes": ""},
	} {
		checks := examine(name)
		for what, subject := range wants {
			if v, lines := verdict(checks, what); v != Fail || !strings.Contains(lines, subject) {
				t.Errorf("%s: %s: %v: %s", name, what, v, lines)
			}
		}
		if v, lines := verdict(checks, "session directory"); v != OK {
			t.Errorf("%s: %s", name, lines)
		}
	}
	if v, lines := verdict(CheckPermissions(ctx, dial(bus.Config{URL: ns.ClientURL(), User: "node", Password: "wrong"}), 2), "permissions"); v != Fail || !strings.Contains(lines, "Authorization Violation") {
		t.Errorf("%v: %s", v, lines)
	}
}

// TestDoctorWithoutRights: where nodes may make no streams, the doctor says who does.
func TestDoctorWithoutRights(t *testing.T) {
	ns := natstest.StartServer(t, natstest.Users(map[string]scheme.Permissions{
		"node": scheme.NodePermissions(1), "setup": scheme.SetupPermissions(1),
	}))
	as := func(user, inbox string) *nats.Conn {
		return connect(t, strings.Replace(ns.ClientURL(), "nats://", "nats://"+user+":p@", 1), nats.CustomInboxPrefix(inbox),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	}
	node, ctx, cfg := as("node", scheme.NodeInbox), natstest.Context(t), Config{Streams: 1}
	if v, lines := verdict(Diagnose(ctx, node, cfg), "streams"); v != Fail || !strings.Contains(lines, "may not create") {
		t.Errorf("%v: %s", v, lines)
	}
	if s, err := Open(ctx, node, cfg); err == nil {
		s.Close()
		t.Error("opened")
	} else if !strings.Contains(err.Error(), "hydrant setup") {
		t.Error(err)
	}
	setup := as("setup", scheme.InboxPrefix("setup"))
	for range 2 { // it may be repeated
		if found, err := Setup(ctx, setup, cfg, []scheme.Service{"echo"}, nil); err != nil || len(found) > 0 {
			t.Fatal(found, err)
		}
	}
	s, err := Open(ctx, node, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	// Another limit is not this node's to set, and no reason to stay away.
	cfg.QueueLimit = 2000
	if s, err = Open(ctx, node, cfg); err != nil {
		t.Fatal(err)
	}
	s.Close()
}
