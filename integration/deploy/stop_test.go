//go:build oldnode

package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/harness"
)

// stopped is an installation that is upgraded as the guide says: all nodes stop, and
// others start. What is of one kind of NATS is a function.
type stopped struct {
	t       *testing.T
	old     string // the binary of before
	start   func(name, binary string) *harness.Node
	connect func(user string) *nats.Conn // as a user of what runs now
	between func()                       // between stop and start
}

// TestStopUpgrade: the one upgrade that needs a stop, from a version before umf.form 3, as
// the guide describes it. Sessions stay, and all that waits for them comes, in order. It
// needs a binary of such a version:
//
//	git worktree add /tmp/old 2b6a5a1 && (cd /tmp/old && go build -o hydrant.old ./edge/cmd/hydrant)
//	HYDRANT_OLD=/tmp/old/hydrant.old go test -tags oldnode -run TestStopUpgrade -v ./integration/deploy
func TestStopUpgrade(t *testing.T) {
	old := os.Getenv("HYDRANT_OLD")
	if old == "" {
		t.Fatal("HYDRANT_OLD names no binary: see the comment of this test")
	}
	for name, prepare := range map[string]func(*stopped){
		"NATS inside": (*stopped).inside, "a cluster without users": (*stopped).cluster, "accounts": (*stopped).accounts, "accounts, shared": (*stopped).shared,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stopped{t: t, old: old}
			prepare(s)
			s.upgrade()
		})
	}
}

// launch starts a node and waits until it is ready.
func (s *stopped) launch(name, binary, url string, env map[string]string) *harness.Node {
	s.t.Helper()
	env["EDGE_DRAIN_GRACE"], env["EDGE_DRAIN_TIMEOUT"] = "0", "1s"
	node, err := harness.StartNode(s.t.Context(), harness.NodeOptions{Name: name, Binary: binary, NATS: url, Env: env})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(node.Kill)
	return node
}

func (s *stopped) dialNATS(url string, options ...nats.Option) *nats.Conn {
	s.t.Helper()
	nc, err := harness.ConnectNATS(url, options...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// inside is a node with NATS of its own.
func (s *stopped) inside() {
	listen, err := harness.FreeAddr()
	if err != nil {
		s.t.Fatal(err)
	}
	dir := s.t.TempDir()
	s.start = func(name, binary string) *harness.Node {
		return s.launch(name, binary, "", map[string]string{"EDGE_DATA_DIR": dir, "EDGE_NATS_LISTEN": listen})
	}
	s.connect = func(string) *nats.Conn {
		password, err := os.ReadFile(filepath.Join(dir, "nats-edge.password"))
		if err != nil { // the version before asked for none
			return s.dialNATS("nats://" + listen)
		}
		return s.dialNATS("nats://"+listen, nats.UserInfo("edge", strings.TrimSpace(string(password))), nats.CustomInboxPrefix("_INBOX_edge"))
	}
	s.between = func() {}
}

// cluster is three servers that let everybody in.
func (s *stopped) cluster() {
	servers, err := harness.StartNATS(s.t.Context(), harness.NATSOptions{Servers: 3})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			s.t.Error(err)
		}
	})
	env := map[string]string{"EDGE_STREAM_REPLICAS": "3"}
	s.start = func(name, binary string) *harness.Node {
		return s.launch(name, binary, servers.URL(), map[string]string{"EDGE_STREAM_REPLICAS": "3"})
	}
	s.connect = func(string) *nats.Conn { return s.dialNATS(servers.URL()) }
	s.between = func() { s.setup(env, servers.URL()) }
}

func (s *stopped) accounts() { s.withUsers() }
func (s *stopped) shared()   { s.withUsers("-shared") }

// withUsers is a server with the accounts of before, which are then those of this version.
func (s *stopped) withUsers(flags ...string) {
	t, dir := s.t, s.t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	write("nats.conf", fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\ninclude \"accounts.conf\"\n", addr, filepath.Join(dir, "data")))
	write("accounts.conf", `# Accounts and users.
accounts {
  HYDRANT {
    jetstream {
      max_consumers: -1
    }
    users: [
      { user: edge, password: "before" }
      { user: service, password: "before" }
      { user: admin, password: "before" }
    ]
  }
  SYS {
    users: [{ user: sys, password: "before" }]
  }
}
system_account: SYS
`)
	ns := startFile(t, filepath.Join(dir, "nats.conf"))
	now := func(user string) (name, password string) { // after `hydrant setup nats`
		text, err := os.ReadFile(filepath.Join(dir, "users", user+".env"))
		if errors.Is(err, os.ErrNotExist) {
			return user, "before"
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "NATS_PASSWORD="); ok {
				return user, value
			}
		}
		t.Fatal(user, err)
		return "", ""
	}
	login := func(user string) map[string]string {
		name, password := now(user)
		return map[string]string{"NATS_USER": name, "NATS_PASSWORD": password}
	}
	s.start = func(name, binary string) *harness.Node { return s.launch(name, binary, ns.ClientURL(), login("edge")) }
	s.connect = func(user string) *nats.Conn {
		name, password := now(user)
		return s.dialNATS(ns.ClientURL(), nats.UserInfo(name, password), nats.CustomInboxPrefix("_INBOX_"+user))
	}
	s.between = func() {
		hydrant(t, nil, append([]string{"setup", "nats", "-dir", dir, "-services", "echo"}, flags...)...)
		for range 2 {
			if err := ns.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		s.setup(login("setup"), ns.ClientURL())
	}
}

// startFile runs a server with a file that it can be told to read again.
func startFile(t *testing.T, path string) *server.Server {
	t.Helper()
	o, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	ns, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(harness.Patience) {
		t.Fatal("the server does not start")
	}
	return ns
}

// setup runs hydrant setup.
func (s *stopped) setup(env map[string]string, url string) {
	s.t.Helper()
	bin, err := harness.Build()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), bin.Hydrant, "setup", "-queues", "echo")
	cmd.Env = []string{"NATS_URL=" + url}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	text, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("hydrant setup: %v\n%s", err, text)
	}
	s.t.Logf("%s", text)
}

// kept is a session of before, and what has to come when it is resumed.
type kept struct {
	c     *harness.Client
	acked bool
	mids  []string
}

// upgrade fills the old version, upgrades, and looks what is there.
func (s *stopped) upgrade() {
	node := s.start("before", s.old)
	js, err := jetstream.New(s.connect("admin"))
	if err != nil {
		s.t.Fatal(err)
	}
	var sessions []*kept
	for i := range 6 {
		k := &kept{acked: i%2 == 1}
		if k.c, err = harness.Enter(s.t.Context(), node.URL("/"), harness.DialOptions{Acked: k.acked}); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(k.c.Drop)
		sessions = append(sessions, k)
		s.store(js, k, "had")
		m, err := k.c.Find(s.t.Context(), func(m harness.Message) bool { return m.Mid() == "had" })
		if err != nil {
			s.t.Fatal(err)
		}
		if k.mids = nil; k.acked {
			if err := k.c.Ack(m.Seq()); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	parked, live := sessions[:4], sessions[4:] // those stay until the node stops
	for _, k := range parked {
		k.c.Close()
		for i := range 30 {
			s.store(js, k, "parked-"+strconv.Itoa(i))
		}
	}
	work := &nats.Msg{Subject: "umf.v1.work.echo", Data: []byte(`{"to":"echo:/","frm":"x:/","mid":"work","bdy":1}`)}
	if _, err := js.PublishMsg(s.t.Context(), work); err != nil {
		s.t.Fatal(err)
	}
	if err := node.Terminate(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.between()
	node = s.start("after", "")
	if js, err = jetstream.New(s.connect("admin")); err != nil {
		s.t.Fatal(err)
	}
	for _, k := range slices.Concat(parked, live) {
		s.store(js, k, "after")
		s.resume(node, k)
	}
	stream, err := js.Stream(s.t.Context(), "UMF_WORK")
	if err != nil || stream.CachedInfo().State.Msgs != 1 {
		s.t.Errorf("the work that waited is gone: %v", err)
	}
}

// store puts a message into a mailbox.
func (s *stopped) store(js jetstream.JetStream, k *kept, mid string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), harness.Patience)
	defer cancel()
	body := fmt.Sprintf(`{"to":"%s@client:/","frm":"test:/","mid":"%s","bdy":1}`, k.c.ID, mid)
	if _, err := js.PublishMsg(ctx, &nats.Msg{Subject: "umf.v1.out." + k.c.ID[:1] + "." + k.c.ID, Data: []byte(body)}); err != nil {
		s.t.Fatal(err)
	}
	k.mids = append(k.mids, mid)
}

// resume has a client come back, and compares what comes.
func (s *stopped) resume(node *harness.Node, k *kept) {
	s.t.Helper()
	c, err := harness.Enter(s.t.Context(), node.URL("/"), harness.DialOptions{Acked: k.acked})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Drop()
	answer, err := c.Resume(s.t.Context(), "reconnect", harness.Object{"id": k.c.ID, "token": k.c.Token})
	if err != nil || answer.At("bdy", "resumed") != true {
		s.t.Errorf("a session of before: %s, %v", answer.Raw, err)
		return
	}
	for i, mid := range k.mids {
		m, err := c.Find(s.t.Context(), func(m harness.Message) bool { return m.Mid() != "" || m.Type() == "gap" })
		if err != nil || m.Mid() != mid {
			s.t.Errorf("message %d of %d, acked %v: %s, %v, want %s", i+1, len(k.mids), k.acked, m.Raw, err, mid)
			return
		}
	}
}
