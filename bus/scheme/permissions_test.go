package scheme_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/discovery"
	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// TestPermissions: with exactly these permissions everything works, and nothing
// else does.
func TestPermissions(t *testing.T) {
	ns := natstest.StartServer(t, server.Options{JetStream: true, Users: []*server.User{
		natstest.User("node", scheme.NodePermissions(2)), natstest.User("echo", scheme.ServicePermissions("echo", scheme.APIPrefix)), natstest.User("setup", scheme.SetupPermissions(2)), {Username: "admin", Password: "p"},
	}})
	login := func(name string, onError nats.ErrHandler) *nats.Conn {
		opts := []nats.Option{nats.ErrorHandler(onError)}
		if name == "node" {
			opts = append(opts, nats.CustomInboxPrefix(scheme.NodeInbox))
		}
		return connect(t, strings.Replace(ns.ClientURL(), "nats://", "nats://"+name+":p@", 1), opts...)
	}
	never := func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Error(err) }
	if _, err := store.Setup(natstest.Context(t), login("setup", never), storeConfig, []scheme.Service{"echo"}, nil); err != nil {
		t.Fatal(err)
	}
	nc := login("node", never)
	s := openStore(t, nc)
	allowedNode(t, s)

	handled := make(chan string, 10)
	svc, err := bus.NewService(login("echo", never), bus.ServiceConfig{Name: "echo", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	work := func(_ context.Context, r *bus.Request) error {
		handled <- r.Message.Mid
		return nil
	}
	event := func(_ context.Context, e scheme.Event) { handled <- string(e.What) }
	if err := errors.Join(svc.HandleAny(echo), svc.HandleWork(work, bus.WorkOptions{}), svc.HandleEvent(scheme.SessionOpened, event), svc.Start()); err != nil {
		t.Fatal(err)
	}
	allowedService(t, s, svc, handled)
	if err := svc.Stop(natstest.Context(t)); err != nil {
		t.Error(err)
	}
	denied(t, login)
}

var storeConfig = store.Config{Streams: 2, Memory: true}

// nodeStore is a store and the connection that it is on.
type nodeStore struct {
	*store.Store
	nc *nats.Conn
}

func openStore(t *testing.T, nc *nats.Conn) *nodeStore {
	t.Helper()
	s, err := store.Open(natstest.Context(t), nc, storeConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &nodeStore{s, nc}
}

func echo(ctx context.Context, r *bus.Request) error { return r.Reply(ctx, r.Message.Body) }

// allowedNode does what a node does.
func allowedNode(t *testing.T, s *nodeStore) {
	ctx, sid, node := natstest.Context(t), scheme.NewSID(), scheme.NewNodeID()
	wild := scheme.ReplyWildcard(node)
	requests := scheme.RequestWildcard(node)
	live := scheme.LiveWildcard(sid)
	for _, subject := range []string{wild, requests, live} {
		if _, err := s.nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
	}
	stop, err := s.WatchLeaders(func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	n, err := discovery.RegisterNode(s.nc, discovery.NodeInfo{ID: node, Service: "hydra-router", Version: "1.0.0"},
		func(reply string, _ []byte) { _ = s.nc.Publish(reply, nil) })
	if err != nil {
		t.Fatal(err)
	}
	nodeSubject := scheme.NodeSubject(node)
	if _, err := s.nc.RequestWithContext(ctx, nodeSubject, nil); err != nil {
		t.Error(err)
	}
	if list, err := discovery.New(s.nc).Nodes(ctx); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
	d := s.Directory()
	rev, err := d.Create(ctx, sid, scheme.Entry{Node: node, State: scheme.StateLive})
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	if err := d.List(ctx, func(scheme.SID, scheme.Entry) bool { listed++; return true }); err != nil || listed != 1 {
		t.Error(listed, err)
	}
	_, err1 := d.Lookup(ctx, sid)
	_, _, err2 := d.Sure(ctx, scheme.NewSID())
	err3 := d.Delete(ctx, sid, rev)
	seq, err4 := s.Publish(ctx, sid, jet.Outgoing{Payload: []byte("x"), Mid: "m"})
	err5 := s.PublishMarker(sid, store.Marker{ID: 1})
	_, err6 := s.Read(ctx, sid, 1, seq, 10, 0)
	_, err8 := s.LastSeqs(ctx, []scheme.SID{sid})
	err9 := s.nc.Publish("umf.v1.inst.echo.0f", nil)
	if !errors.Is(err2, store.ErrNoSession) {
		t.Error(err2)
	}
	if err := errors.Join(err1, err3, err4, err5, err6, err8, err9, s.CheckContract(ctx), n.Unregister(), s.nc.Flush()); err != nil {
		t.Error(err)
	}
}

// allowedService does what a service does, with the help of a node.
func allowedService(t *testing.T, s *nodeStore, svc *bus.Service, handled chan string) {
	ctx, sid, node := natstest.Context(t), scheme.NewSID(), scheme.NewNodeID()
	m, err := svc.NewMessage(string(sid)+"@client:/", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(svc.Push(ctx, string(sid), m), svc.PushLive(string(sid), m)); err != nil {
		t.Error(err)
	}
	payload := []byte(`{"to":"echo:/","frm":"x:/","mid":"w","bdy":1}`)
	if _, err := s.EnqueueWork(ctx, "echo", jet.Outgoing{Payload: payload, Mid: "w"}); err != nil {
		t.Fatal(err)
	}
	if got := <-handled; got != "w" {
		t.Error(got)
	}
	if err := store.PublishEvent(s.nc, scheme.Event{What: scheme.SessionOpened, Session: sid, Node: node}); err != nil {
		t.Fatal(err)
	}
	if got := <-handled; got != "opened" {
		t.Error(got)
	}
	// An answer to a request of a node, and one to a plain NATS request.
	request := scheme.RequestSubject(node, 0, 1)
	answers, err := s.nc.SubscribeSync(request)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(`{"to":"echo:[GET]/","frm":"x:/","mid":"1","bdy":1}`)
	if err := s.nc.PublishRequest("umf.v1.svc.echo", request, text); err != nil {
		t.Fatal(err)
	}
	if _, err := answers.NextMsgWithContext(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.nc.RequestWithContext(ctx, "umf.v1.svc.echo", text); err != nil {
		t.Error(err)
	}
	if list, err := discovery.New(s.nc).Services(ctx); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
}

// denied tries what neither of them may do.
func denied(t *testing.T, login func(string, nats.ErrHandler) *nats.Conn) {
	admin := login("admin", nil)
	spy, err := admin.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Flush(); err != nil {
		t.Fatal(err)
	}
	for name, subjects := range map[string][]string{
		"node": {
			"other", "umf.v2.svc.echo", "umf.v1.evt.x", "$JS.API.STREAM.DELETE.UMF_OUT_0", "$JS.API.STREAM.PURGE.UMF_OUT_0",
			"$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.MSG.GET.OTHER", "$JS.API.STREAM.MSG.DELETE.UMF_OUT_0",
			"$JS.API.CONSUMER.CREATE.UMF_WORK.x", "$KV.OTHER.x", "$JS.API.STREAM.LIST", "$JS.API.STREAM.CREATE.UMF_OUT_0", "$JS.API.STREAM.UPDATE.UMF_OUT_0",
		},
		"echo": {
			"other", "umf.v1.svc.other", "umf.v1.inst.other.1", "umf.v1.node.x", "umf.v1.svc.echo", "umf.v1.req.x.1", "umf.v1.live.a.b.s", "$KV.UMF_SESSIONS.x",
			"$JS.API.STREAM.MSG.GET.UMF_OUT_0", "$JS.API.STREAM.DELETE.UMF_WORK", "$JS.API.CONSUMER.CREATE.UMF_OUT_0.x",
			"$JS.API.CONSUMER.CREATE.UMF_WORK.other.umf.v1.work.other", "$JS.ACK.UMF_WORK.other.1", "$JS.API.CONSUMER.CREATE.UMF_WORK.echo.umf.v1.work.echo", "$SRV.INFO",
		},
	} {
		refused := make(chan error, 2*len(subjects))
		nc := login(name, func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
		for _, subject := range subjects {
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
		}
		said := func(what string) {
			select {
			case err := <-refused:
				if !errors.Is(err, nats.ErrPermissionViolation) {
					t.Error(err)
				}
			case <-time.After(natstest.Patience):
				t.Fatalf("%s is not refused: %s", what, name)
			}
		}
		for range subjects {
			said("one of what it publishes")
		}
		for _, subject := range []string{">", "umf.v1.>", "umf.v1.out.*.*", "umf.v1.svc.other", "$KV.UMF_SESSIONS.>", "$JS.API.>"} {
			if _, err := nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			said(subject)
		}
	}
	if n, _, err := spy.Pending(); n != 0 || err != nil {
		m, _ := spy.NextMsg(0)
		t.Errorf("%d messages came through, the first on %v, %v", n, m, err)
	}
}

// connect connects to a server for one test.
func connect(t testing.TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := bus.Connect(bus.Config{URL: url}, t.Name(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	natstest.CloseAtEnd(t, nc)
	return nc
}
