package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// headerStream makes a stream refuse a message that is meant for another one.
const headerStream = "Nats-Expected-Stream"

// probe is one subject that a node publishes or subscribes to, with names that
// no participant has. A message to it does nothing: it names no existing session,
// service or node; a stream refuses it by its header, and the JetStream API by
// its body, which asks for nothing.
// (What is no JSON would be refused as well, and logged by the server.)
type probe struct {
	need      string // what a node needs it for
	subject   string
	subscribe bool
	header    nats.Header
	body      string
}

// probes has at least one subject for every pattern of [NodePermissions], but
// for answers, which are tried by asking.
func probes(streams int) []probe {
	const nobody, nothing = "hydrant-doctor", "{}"
	sid, node := scheme.NewSID(), scheme.NewNodeID()
	tail := string(sid[:1] + "." + sid)
	refused := nats.Header{headerStream: []string{nobody}}
	var list []probe
	publish := func(need string, header nats.Header, body string, subjects ...string) {
		for _, subject := range subjects {
			list = append(list, probe{need: need, subject: subject, header: header, body: body})
		}
	}
	subscribe := func(need string, subjects ...string) {
		for _, subject := range subjects {
			list = append(list, probe{need: need, subject: subject, subscribe: true})
		}
	}
	publish("send to services", nil, "", scheme.ServiceSubject(nobody), scheme.InstanceSubject(nobody, nobody))
	publish("work queues", refused, "", scheme.WorkSubject(nobody))
	publish("which work queues there are", nil, nothing, askQueues)
	publish("store in mailboxes", refused, "", scheme.MailboxSubject(sid), scheme.PrefixReply+string(node)+"."+tail+".m")
	subscribe("copies of what mailboxes store", scheme.LiveWildcard(sid))
	subscribe("answers, and what nobody took", scheme.ReplyWildcard(node), scheme.PrefixRequest+string(node)+".>")
	publish("session directory", refused, "", scheme.SessionKey(sid))
	publish("expiry of sessions", refused, "", scheme.ExpirySubject(sid))
	subscribe("expiry of sessions", scheme.PrefixGone+tail)
	subscribe("questions of services", scheme.ExistsSubject(sid))
	publish("orders to other nodes", nil, "", scheme.NodeSubject(node))
	subscribe("orders of other nodes", scheme.NodeSubject(node))
	publish("session events", nil, nothing, scheme.EventSubject(scheme.SessionClosed, sid)) // of no session, and no event
	publish("discovery", nil, "", "$SRV.INFO", "$SRV.STATS")
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		at := "$SRV." + verb
		subscribe("discovery", at, at+"."+nobody, at+"."+nobody+"."+string(node))
	}
	subscribe("requests", scheme.NodeInbox+"."+string(sid)+".*")
	publish("JetStream", nil, "", scheme.APIPrefix+"INFO")
	for _, stream := range scheme.StreamNames(streams) {
		subscribe("new leaders of streams", scheme.AdvisoryLeader+stream)
		publish("look at streams", nil, "", scheme.APIStreamInfo+stream)
		if stream == scheme.WorkStream || stream == scheme.ExpiryStream {
			continue
		}
		publish("read mailboxes and directory", nil, nothing, scheme.APIMsgGet+stream, scheme.APIDirectGet+stream)
	}
	publish("read mailboxes and directory", nil, "", scheme.APIDirectGet+scheme.SessionStream+"."+scheme.SessionKey(sid))
	return list
}

// CheckPermissions tries every kind of subject that a node needs, on a
// connection of its own, which connect makes with these options, and tells what
// the server denies. It stores nothing and reaches no session, service or node.
func CheckPermissions(ctx context.Context, connect func(opts ...nats.Option) (*nats.Conn, error), streams int) []Finding {
	var mu sync.Mutex
	denied := make(map[denial]bool)
	closed := make(chan struct{})
	nc, err := connect(
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				mu.Lock()
				denied[denialOf(err)] = true
				mu.Unlock()
			}
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		return []Finding{{Fail, "permissions", err.Error(), "see the reason"}}
	}
	list := probes(streams)
	err = try(ctx, nc, list)
	answers := tryAnswer(ctx, nc)
	nc.Close()
	<-closed // the handlers run in order, so every refusal has been noted
	if err != nil {
		return []Finding{{Fail, "permissions", err.Error(), "see the reason"}}
	}
	mu.Lock()
	defer mu.Unlock()
	return append(judge(list, denied), answers)
}

// denial is what the server denied.
type denial struct {
	subject   string
	subscribe bool
}

// denialOf reads the server's text: Permissions Violation for Publish to
// "subject", or for Subscription to "subject".
func denialOf(err error) denial {
	text, rest, _ := strings.Cut(err.Error(), `"`)
	subject, _, _ := strings.Cut(rest, `"`)
	return denial{subject, strings.Contains(text, "Subscription")}
}

// try uses every subject once, and returns when the server has judged all.
func try(ctx context.Context, nc *nats.Conn, list []probe) error {
	nowhere := nc.NewInbox()
	for _, p := range list {
		if p.subscribe {
			if _, err := nc.SubscribeSync(p.subject); err != nil { // ends with the connection
				return fmt.Errorf("bus: %s: %w", p.subject, err)
			}
			continue
		}
		m := &nats.Msg{Subject: p.subject, Reply: nowhere, Header: p.header, Data: []byte(p.body)}
		if strings.HasPrefix(p.subject, "$SRV.") {
			m.Reply = "" // all nodes and services would answer, to whom nobody listens
		}
		if err := nc.PublishMsg(m); err != nil {
			return fmt.Errorf("bus: %s: %w", p.subject, err)
		}
	}
	return nc.FlushWithContext(ctx)
}

// tryAnswer asks itself as another node would. A user may answer by
// allow_responses, or because it may publish to any inbox.
func tryAnswer(ctx context.Context, nc *nats.Conn) Finding {
	const fix = "allow_responses, or publish to " + scheme.NodeInbox + ".>"
	node := scheme.NodeSubject(scheme.NewNodeID())
	_, err := nc.Subscribe(node, func(m *nats.Msg) { _ = m.Respond(nil) }) // then no answer comes
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err = nc.RequestWithContext(ctx, node, nil)
	}
	if err != nil {
		return Finding{Fail, "permission to answer other nodes", err.Error(), fix}
	}
	return Finding{OK, "permission to answer other nodes", "answered", ""}
}

// judge groups what was denied by what it is needed for.
func judge(list []probe, denied map[denial]bool) []Finding {
	const fix = "`hydrant setup nats` writes what a node's user needs"
	var checks []Finding
	refused := make(map[string][]string)
	for _, p := range list {
		if denied[denial{p.subject, p.subscribe}] {
			refused[p.need] = append(refused[p.need], p.subject)
		}
	}
	seen := make(map[string]bool)
	for _, p := range list {
		if subjects := refused[p.need]; len(subjects) > 0 && !seen[p.need] {
			seen[p.need] = true
			checks = append(checks, Finding{Fail, "permission: " + p.need, "denied: " + some(subjects), fix})
		}
	}
	if len(checks) == 0 {
		checks = append(checks, Finding{OK, "permissions", fmt.Sprintf("%d subjects tried, none denied", len(list)), ""})
	}
	return checks
}
