package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/bus/tracectx"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// A refusal is the answer to a posted message that is not taken.
type refusal struct {
	status int
	text   string
	result any // nil: {}
}

func (r *refusal) Error() string { return r.text }

// write answers with the refusal.
func (r *refusal) write(w http.ResponseWriter) {
	switch r {
	case errUnauthorized, errNeedToken, errNoToken:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case errUnchecked, errRate, errShare, errBusy, errTokens:
		w.Header().Set("Retry-After", "1")
	}
	writeEnvelope(w, r.status, r.text, r.result)
}

var (
	errTooLarge    = &refusal{status: http.StatusRequestEntityTooLarge, text: "Message is too large"}
	errUnread      = &refusal{status: http.StatusBadRequest, text: "Message could not be read"}
	errInvalid     = &refusal{status: http.StatusBadRequest, text: "Invalid UMF message"}
	errNoRoute     = &refusal{status: http.StatusBadRequest, text: "message `to` field does not specify a valid route"}
	errNoMethod    = &refusal{status: http.StatusBadRequest, text: "HTTP method not specified in `to` field"}
	errAddress     = &refusal{status: http.StatusBadRequest, text: "Invalid address"}
	errNoClient    = &refusal{status: http.StatusNotFound, text: "No such client"}
	errShare       = &refusal{status: http.StatusTooManyRequests, text: "Too many of your messages wait for this client"}
	errOverload    = &refusal{status: http.StatusServiceUnavailable, text: "Messaging is overloaded"}
	errUnavailable = &refusal{status: http.StatusServiceUnavailable, text: "Messaging is unavailable"}
	errTimeout     = &refusal{status: http.StatusGatewayTimeout, text: "No answer in time"}
	errUnconfirmed = &refusal{status: http.StatusGatewayTimeout, text: "Message was not confirmed as stored"}
)

// posted is a message that came over HTTP, ready for NATS.
type posted struct {
	nats    *NATS
	from    caller
	address umf.Address
	data    []byte
	mid     json.RawMessage
	ttl     time.Duration
	sender  []byte // its from, as it was read
	content string // see umf.ContentID
	header  nats.Header
	turn    *turn
}

// taken is the answer to a message that was sent or stored.
func (p *posted) taken() any { return map[string]json.RawMessage{"mid": p.mid} }

// nobody is the answer where no instance of the service runs.
func (p *posted) nobody() error {
	return &refusal{status: http.StatusServiceUnavailable, text: "Unavailable " + p.address.Service + " instances"}
}

// outgoing is what is stored. The same message posted again is stored once, as a
// client's is: by who posts and whom it says it is from.
func (p *posted) outgoing() store.Outgoing {
	sender := umf.ContentID(append([]byte(p.from.rights.Identity()+"\x00"), p.sender...))
	return store.Outgoing{Payload: p.data, TTL: p.ttl, Mid: string(p.mid), Sender: "post~" + sender, Content: p.content}
}

// message is what goes to a service.
func (p *posted) message(subject string) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: p.data, Header: p.header}
}

// deliver passes a posted message on. Its result goes into the envelope; its errors are
// refusals, or they are logged.
type deliver func(a *API, ctx context.Context, p *posted) (result any, err error)

// posts are the routes of posted messages, by what follows the prefix.
var posts = map[string]deliver{"send": (*API).send, "queue": (*API).queue, "message": (*API).request}

// servePost serves a posted message.
func (a *API) servePost(w http.ResponseWriter, r *http.Request, from caller, pass deliver) {
	turn := &turn{gate: a.gate}
	defer turn.end()
	result, err := a.takePost(w, r, turn, from, pass)
	if err == nil {
		writeEnvelope(w, http.StatusOK, succeeded, result)
		return
	}
	if no := (*refusal)(nil); !errors.As(err, &no) && !errors.Is(err, nats.ErrMaxPayload) {
		a.node.Log.Warn("posted message not taken", "path", r.URL.Path, "error", err)
	}
	a.refuse(w, &from, err)
}

func (a *API) takePost(w http.ResponseWriter, r *http.Request, turn *turn, from caller, pass deliver) (result any, err error) {
	leave, err := a.enter(r, a.node.Config.MaxFrame())
	if err != nil {
		return nil, err
	}
	defer leave()
	p, err := a.receive(w, r, turn, from)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.node.Config.RequestTimeout)
	defer cancel()
	var span trace.Span
	p.header, span = a.trace(r, "http post", p.address.Service, from.header())
	result, err = pass(a, ctx, p)
	tracectx.End(span, err)
	return result, err
}

// receive reads, checks and completes a posted message. All its errors are
// refusals.
func (a *API) receive(w http.ResponseWriter, r *http.Request, turn *turn, from caller) (*posted, error) {
	text, err := a.read(w, r, from)
	if err != nil {
		return nil, err
	}
	if err := a.begin(r.Context(), turn, len(text)); err != nil {
		return nil, err
	}
	e := new(umf.Envelope)
	if umf.Scan(text, e) != nil || e.Check() != nil {
		return nil, errInvalid
	}
	once, keep, err := a.checkSignature(e)
	if err != nil {
		return nil, err
	}
	if fault := protocol.CheckSender(e, a.node.Config.ServiceName, a.node.Signatures != nil); fault != nil {
		return nil, refuseSender(fault)
	}
	address, to, err := a.target(e)
	if err != nil {
		return nil, err
	}
	n := a.node.NATS()
	if n == nil || !a.node.Connected() { // see the package's Design
		return nil, errUnavailable
	}
	if err := noteOnce(r.Context(), n, once, keep); err != nil {
		return nil, err
	}
	f := protocol.Complete(e, time.Now())
	f.Set(umf.Via, a.node.Router)
	f.Set(umf.To, to)
	if headers := e.Raw(umf.Headers); protocol.ReservedFromClients.In(headers) {
		f.Set(umf.Headers, protocol.ReservedFromClients.AppendHeaders(nil, headers, nil))
	}
	return &posted{nats: n, from: from, address: address, data: e.AppendShort(nil, f.Sets()...), mid: append(json.RawMessage(nil), f.Mid...),
		ttl: protocol.TTL(e), sender: e.AppendCanonicalField(nil, umf.From), content: umf.ContentID(e.AppendContent(nil)), turn: turn}, nil
}

// deny is the answer to a message that the rules do not allow.
func (a *API) deny(why policy.Denial, service string) error {
	if count := a.node.Metrics.Denied.Inc(why, time.Now()); count > 0 {
		a.node.Log.Warn("posted messages denied by the rules for clients", "kind", why.String(), "count", count, "service", service)
	}
	return &refusal{status: http.StatusForbidden, text: why.Text()}
}

// read takes the text of a message from the body.
func (a *API) read(w http.ResponseWriter, r *http.Request, from caller) ([]byte, error) {
	text, err := readBody(w, r, a.node.Config.MaxFrame(), nil)
	if err != nil {
		return nil, err
	}
	if !from.account.TakeBytes(len(text), a.uptime()) {
		return nil, a.overRate()
	}
	return text, nil
}

// checkSignature checks a message as it came in, before anything of it is changed, and
// leaves of it what was signed. once is the name for [noteOnce].
func (a *API) checkSignature(e *umf.Envelope) (once string, keep time.Duration, err error) {
	if a.node.Signatures == nil {
		return "", 0, nil
	}
	if err := a.node.Signatures.Check(e, time.Now(), access.Sender{}); err != nil {
		return "", 0, refuseSignature(err)
	}
	once, keep = a.node.Signatures.Once(e)
	e.KeepCovered()
	return once, keep, nil
}

// noteOnce notes for all nodes that a message was seen, and refuses one that was.
func noteOnce(ctx context.Context, n *NATS, once string, keep time.Duration) error {
	if once == "" {
		return nil
	}
	err := n.Directory.Once(ctx, once, keep)
	switch {
	case errors.Is(err, store.ErrSeen):
		return refuseSignature(access.ErrReplay)
	case err != nil:
		return errUnavailable
	}
	return nil
}

func refuseSender(fault *protocol.SenderFault) *refusal {
	if fault.Code == protocol.CodeForbidden {
		return &refusal{status: http.StatusForbidden, text: fault.Text}
	}
	return &refusal{status: http.StatusBadRequest, text: fault.Text}
}

func refuseSignature(err error) *refusal {
	text, code, _ := access.SignatureProblem(err)
	if code == protocol.CodeOverload {
		return &refusal{status: http.StatusServiceUnavailable, text: text}
	}
	return &refusal{status: http.StatusBadRequest, text: text}
}

// target returns the address that a message goes to: its forward, or its to. raw
// is the same as JSON.
func (a *API) target(e *umf.Envelope) (address umf.Address, raw []byte, err error) {
	raw = e.Raw(umf.Forward)
	text, ok := e.Text(umf.Forward, nil)
	if !ok || len(text) == 0 {
		raw = e.Raw(umf.To)
		text, _ = e.Text(umf.To, nil)
	}
	address, err = umf.ParseAddress(text)
	if err != nil || address.Service == a.node.Config.ServiceName {
		return address, nil, errAddress
	}
	return address, raw, nil
}

// send passes a message on to a service or a session.
func (a *API) send(ctx context.Context, p *posted) (any, error) {
	if p.address.Service == scheme.ClientService {
		return a.sendToSession(ctx, p)
	}
	subject, err := a.subject(p)
	if err != nil {
		return nil, err
	}
	err = p.nats.Conn.Deliver(ctx, p.message(subject))
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, p.nobody()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errTimeout
	}
	return p.taken(), err
}

// subject is where a message for a service goes, if its sender may write there.
func (a *API) subject(p *posted) (string, error) {
	subject, err := scheme.AddressSubject(p.address.Service, p.address.Instance)
	if err != nil {
		return "", errAddress
	}
	if why, ok := p.from.rights.Service(p.address.Service); !ok {
		return "", a.deny(why, p.address.Service)
	}
	return subject, nil
}

// sendToSession stores a message in the mailbox of a session that exists.
func (a *API) sendToSession(ctx context.Context, p *posted) (any, error) {
	sid, err := scheme.ParseSID(p.address.Instance)
	if err != nil {
		return nil, errNoClient
	}
	scope := p.from.rights.Clients()
	if scope == policy.Nobody {
		return nil, a.deny(policy.DeniedClient, "")
	}
	found, err := p.nats.Directory.Lookup(ctx, sid)
	switch {
	case err != nil:
		return nil, err
	case !found.Exists:
		if address := p.from.address; !a.node.Guesses.Allow(address, time.Now()) {
			a.node.Metrics.Dropped.Inc(stats.DropGuesses)
			return nil, errRate
		}
		return nil, errNoClient
	case scope == policy.User && !found.Of(p.from.rights.Identity()):
		return nil, a.deny(policy.DeniedClient, "")
	}
	if err := a.share(ctx, p, sid); err != nil {
		return nil, err
	}
	seq, err := p.nats.Store.Publish(ctx, sid, p.outgoing())
	if err != nil {
		seq = 0
	}
	a.node.Mail.Stored(p.from.account, string(sid), seq, len(p.data))
	return p.taken(), storing(err)
}

// share refuses a message whose sender has its share of the mailbox.
func (a *API) share(ctx context.Context, p *posted, sid scheme.SID) error {
	m, account, size := a.node.Mail, p.from.account, len(p.data)
	for looked := false; ; looked = true {
		switch m.Ask(account, string(sid), size, a.uptime()) {
		case quota.Store:
			return nil
		case quota.Refuse:
			a.node.Metrics.Dropped.Inc(stats.DropMailShare)
			return errShare
		}
		if looked { // and that was too long ago by now
			return errUnavailable
		}
		e, _, err := p.nats.Directory.Get(ctx, sid)
		switch {
		case errors.Is(err, store.ErrNoSession):
			return errNoClient
		case err != nil:
			return err
		}
		m.Looked(account, string(sid), e.Floor, e.State == scheme.StateParked, a.uptime())
	}
}

// storing says in an answer's words what came of storing: what was not confirmed may
// be stored, and whoever is told that it is not sends it again.
func storing(err error) error {
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return errTooLarge
	case errors.Is(err, store.ErrOverload):
		return errOverload
	case errors.Is(err, store.ErrUnconfirmed), errors.Is(err, context.DeadlineExceeded):
		return errUnconfirmed
	}
	return err
}

// request asks a service, and answers with its answer.
func (a *API) request(ctx context.Context, p *posted) (any, error) {
	if p.address.Service == scheme.ClientService {
		return nil, errAddress
	}
	subject, err := a.subject(p)
	switch {
	case err != nil:
		return nil, err
	case p.address.Path == "":
		return nil, errNoRoute
	case p.address.Method == "":
		return nil, errNoMethod
	}
	answer, err := p.nats.Conn.RequestMsgWithContext(ctx, p.message(subject))
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, p.nobody()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errTimeout
	case err != nil:
		return nil, err
	}
	a.resume(ctx, p.turn, len(answer.Data))
	if no, refused := protocol.ReadRefusal(answer.Header); refused {
		return nil, &refusal{no.HTTP(), no.Text, json.RawMessage(no.AppendReason(nil))}
	}
	return json.RawMessage(protocol.ClientBody(new(umf.Envelope), answer.Header, answer.Data)), nil
}
