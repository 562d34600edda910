package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// A refusal is the answer to a posted message that is not taken.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

var (
	errUnauthorized = &refusal{http.StatusUnauthorized, "Authorization needed"}
	errOrigin       = &refusal{http.StatusForbidden, "Origin is not allowed"}
	errMemory       = &refusal{http.StatusServiceUnavailable, "Node is short of memory"}
	errTooLarge     = &refusal{http.StatusRequestEntityTooLarge, "Message is too large"}
	errUnread       = &refusal{http.StatusBadRequest, "Message could not be read"}
	errInvalid      = &refusal{http.StatusBadRequest, "Invalid UMF message"}
	errAddress      = &refusal{http.StatusBadRequest, "Invalid address"}
	errNoClient     = &refusal{http.StatusNotFound, "No such client"}
	errUnavailable  = &refusal{http.StatusServiceUnavailable, "Messaging is unavailable"}
	errTimeout      = &refusal{http.StatusGatewayTimeout, "No answer in time"}
	errUnconfirmed  = &refusal{http.StatusGatewayTimeout, "Message was not confirmed as stored"}
)

// clientService is the service in the addresses of sessions.
const clientService = "client"

// posted is a message that came over HTTP, ready for NATS.
type posted struct {
	nats    *NATS
	rights  *policy.Rights
	address umf.Address
	data    []byte
	mid     json.RawMessage
	ttl     time.Duration
}

// taken is the answer to a message that was sent or stored.
func (p *posted) taken() any { return map[string]json.RawMessage{"mid": p.mid} }

// servePost serves posted messages with deliver, whose first result goes into the
// envelope. Its errors are refusals, or they are logged as failed.
func (a *API) servePost(failed string, deliver func(context.Context, *posted) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var result any
		p, err := a.receive(w, r)
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), a.node.Config.RequestTimeout)
			defer cancel()
			result, err = deliver(ctx, p)
		}
		if err == nil {
			writeEnvelope(w, http.StatusOK, succeeded, result)
			return
		}
		var no *refusal
		if !errors.As(err, &no) {
			a.node.Log.Warn(failed, "error", err)
			no = errUnavailable
		}
		writeEnvelope(w, no.status, no.text, nil)
	}
}

// receive reads, checks and completes a posted message. All its errors are
// refusals.
func (a *API) receive(w http.ResponseWriter, r *http.Request) (*posted, error) {
	if err := a.admit(r); err != nil {
		return nil, err
	}
	e, err := a.read(w, r)
	if err != nil {
		return nil, err
	}
	if err := a.checkSignature(e); err != nil {
		return nil, err
	}
	address, to, err := a.target(e)
	if err != nil {
		return nil, err
	}
	rights, err := a.rights(r)
	if err != nil {
		return nil, err
	}
	n := a.node.NATS()
	if n == nil || !a.node.Connected() { // see the package's Design
		return nil, errUnavailable
	}
	f := protocol.Complete(e, time.Now())
	f.Set(umf.Via, a.node.Router)
	f.Set(umf.To, to)
	return &posted{n, rights, address, e.AppendShort(nil, f.Sets()...), append(json.RawMessage(nil), f.Mid...), protocol.TTL(e)}, nil
}

// admit decides whether the body is read at all.
func (a *API) admit(r *http.Request) error {
	n := &a.node
	switch {
	case n.Config.Auth != config.AuthNone && !a.isAdmin(r.Header.Get("Authorization")):
		return errUnauthorized
	case !access.Origins(n.Config.AllowedOrigins).Allow(r.Header.Get("Origin"), r.Host):
		n.Metrics.Dropped.Inc(stats.DropOrigin)
		return errOrigin
	case n.ShortOfMemory():
		n.Metrics.Shed.Inc(stats.ShedRefused)
		return errMemory
	}
	return nil
}

// rights are those of who posts: of administrators, or of a client without identity.
func (a *API) rights(r *http.Request) (*policy.Rights, error) {
	if a.isAdmin(r.Header.Get("Authorization")) {
		return a.node.Rules.Operator(), nil
	}
	return a.node.Rules.Rights("", "")
}

// deny is the answer to a message that the rules do not allow.
func (a *API) deny(why policy.Denial, service string) error {
	if count := a.node.Metrics.Denied.Inc(why, time.Now()); count > 0 {
		a.node.Log.Warn("posted messages denied by the rules for clients", "kind", why.String(), "count", count, "service", service)
	}
	return &refusal{http.StatusForbidden, why.Text()}
}

// read takes a UMF message from the body.
func (a *API) read(w http.ResponseWriter, r *http.Request) (*umf.Envelope, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(a.node.Config.MaxMessage)))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, errTooLarge
		}
		return nil, errUnread
	}
	e := new(umf.Envelope)
	if umf.Scan(text, e) != nil || e.Check() != nil {
		return nil, errInvalid
	}
	return e, nil
}

// checkSignature checks a message as it came in, before anything of it is changed.
func (a *API) checkSignature(e *umf.Envelope) error {
	if a.node.Signatures == nil {
		return nil
	}
	if err := a.node.Signatures.Check(e, time.Now()); err != nil {
		return refuseSignature(err)
	}
	return nil
}

func refuseSignature(err error) *refusal {
	text, code, _ := access.SignatureProblem(err)
	if code == protocol.CodeOverload {
		return &refusal{http.StatusServiceUnavailable, text}
	}
	return &refusal{http.StatusBadRequest, text}
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
	if p.address.Service == clientService {
		return a.sendToSession(ctx, p)
	}
	subject, err := a.subject(p)
	if err != nil {
		return nil, err
	}
	return p.taken(), p.nats.Conn.Publish(subject, p.data)
}

// subject is where a message for a service goes, if its sender may write there.
func (a *API) subject(p *posted) (string, error) {
	subject, err := scheme.AddressSubject(p.address.Service, p.address.Instance)
	if err != nil {
		return "", errAddress
	}
	if why, ok := p.rights.Service(p.address.Service); !ok {
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
	scope := p.rights.Clients()
	if scope == policy.Nobody {
		return nil, a.deny(policy.DeniedClient, "")
	}
	found, err := p.nats.Directory.Lookup(ctx, sid)
	switch {
	case err != nil:
		return nil, err
	case !found.Exists:
		return nil, errNoClient
	case scope == policy.User && !found.Of(p.rights.Identity()):
		return nil, a.deny(policy.DeniedClient, "")
	}
	_, err = p.nats.Store.Publish(ctx, sid, store.Outgoing{Payload: p.data, TTL: p.ttl})
	return p.taken(), storing(err)
}

// queue stores work for a service. A session has its mailbox for that.
func (a *API) queue(ctx context.Context, p *posted) (any, error) {
	if p.address.Service == clientService {
		return a.sendToSession(ctx, p)
	}
	service, err := scheme.ParseService(p.address.Service)
	if err != nil {
		return nil, errAddress
	}
	if why, ok := p.rights.Queue(p.address.Service); !ok {
		return nil, a.deny(why, p.address.Service)
	}
	_, err = p.nats.Store.EnqueueWork(ctx, service, store.Outgoing{Payload: p.data})
	return p.taken(), storing(err)
}

// storing says in an answer's words what came of storing: what was not confirmed may
// be stored, and whoever is told that it is not sends it again.
func storing(err error) error {
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return errTooLarge
	case errors.Is(err, store.ErrUnconfirmed), errors.Is(err, context.DeadlineExceeded):
		return errUnconfirmed
	}
	return err
}

// request asks a service, and answers with its answer.
func (a *API) request(ctx context.Context, p *posted) (any, error) {
	if p.address.Service == clientService {
		return nil, errAddress
	}
	subject, err := a.subject(p)
	if err != nil {
		return nil, err
	}
	answer, err := p.nats.Conn.RequestWithContext(ctx, subject, p.data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, &refusal{http.StatusServiceUnavailable, "Unavailable " + p.address.Service + " instances"}
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errTimeout
	case err != nil:
		return nil, err
	}
	return json.RawMessage(protocol.AnswerBody(new(umf.Envelope), answer.Data)), nil
}
