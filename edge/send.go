package edge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// readPost takes a UMF message from the body of a POST. It has answered where
// it returns false.
func (n *Node) readPost(w http.ResponseWriter, r *http.Request) (*umf.Envelope, bool) {
	if n.cfg.Auth != config.AuthNone && !n.isAdmin(r.Header.Get("Authorization")) {
		writeEnvelope(w, http.StatusUnauthorized, "Authorization needed", nil)
		return nil, false
	}
	if !access.Origins(n.cfg.AllowedOrigins).Allow(r.Header.Get("Origin"), r.Host) {
		n.m.Dropped.Inc(stats.DropOrigin)
		writeEnvelope(w, http.StatusForbidden, "Origin is not allowed", nil)
		return nil, false
	}
	if n.short.Load() {
		n.m.Shed.Inc(stats.ShedRefused)
		writeEnvelope(w, http.StatusServiceUnavailable, "Node is short of memory", nil)
		return nil, false
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(n.cfg.MaxMessage)))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			writeEnvelope(w, http.StatusRequestEntityTooLarge, "Message is too large", nil)
			return nil, false
		}
		writeEnvelope(w, http.StatusBadRequest, "Message could not be read", nil)
		return nil, false
	}
	e := new(umf.Envelope)
	if umf.Scan(text, e) != nil || e.Check() != nil {
		writeEnvelope(w, http.StatusBadRequest, "Invalid UMF message", nil)
		return nil, false
	}
	if n.signatures != nil {
		if err := n.signatures.Check(e, time.Now()); err != nil {
			text, code, _ := signatureProblem(err)
			status := http.StatusBadRequest
			if code == protocol.CodeOverload {
				status = http.StatusServiceUnavailable
			}
			writeEnvelope(w, status, text, nil)
			return nil, false
		}
	}
	return e, true
}

// posted is a message that came over HTTP, ready for NATS.
type posted struct {
	address umf.Address
	data    []byte
	mid     json.RawMessage
	ttl     time.Duration
}

// receive reads, checks and completes a posted message. It has answered where
// it returns false.
func (n *Node) receive(w http.ResponseWriter, r *http.Request) (posted, bool) {
	e, ok := n.readPost(w, r)
	if !ok {
		return posted{}, false
	}
	address, to, ok := n.target(w, e)
	if !ok {
		return posted{}, false
	}
	if !n.connected.Load() { // nats.go would keep it for later, and nobody would know whether it went
		writeEnvelope(w, http.StatusServiceUnavailable, "Messaging is unavailable", nil)
		return posted{}, false
	}
	f := protocol.Complete(e, time.Now())
	f.Set(umf.Via, n.fromRouter)
	f.Set(umf.To, to)
	return posted{address, e.AppendShort(nil, f.Sets()...), append(json.RawMessage(nil), f.Mid...), protocol.TTL(e)}, true
}

// target is where a posted message goes: its forward address, or its to.
func (n *Node) target(w http.ResponseWriter, e *umf.Envelope) (umf.Address, []byte, bool) {
	raw := e.Raw(umf.Forward)
	text, ok := e.Text(umf.Forward, nil)
	if !ok || len(text) == 0 {
		raw = e.Raw(umf.To)
		text, _ = e.Text(umf.To, nil)
	}
	address, err := umf.ParseAddress(text)
	if err != nil || address.Service == n.cfg.ServiceName {
		writeEnvelope(w, http.StatusBadRequest, "Invalid address", nil)
		return address, nil, false
	}
	return address, raw, true
}

// serveSend takes a message for a service or a session.
func (n *Node) serveSend(w http.ResponseWriter, r *http.Request) {
	p, ok := n.receive(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), n.cfg.RequestTimeout)
	defer cancel()
	n.finishPost(w, p, n.sendPosted(ctx, p))
}

var errNoClient = errors.New("edge: no such client")

func (n *Node) sendPosted(ctx context.Context, p posted) error {
	if p.address.Service != "client" {
		subject, err := serviceSubject(p.address)
		if err != nil {
			return err
		}
		return n.nc.Publish(subject, p.data)
	}
	exists := false
	if bus.ValidSID(p.address.Instance) {
		var err error
		if exists, err = n.dir.Lookup(ctx, p.address.Instance); err != nil {
			return err
		}
	}
	if !exists {
		return errNoClient
	}
	_, err := n.store.Publish(ctx, p.address.Instance, bus.Outgoing{Payload: p.data, TTL: p.ttl})
	return err
}

// serveQueue stores work for a service.
func (n *Node) serveQueue(w http.ResponseWriter, r *http.Request) {
	p, ok := n.receive(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), n.cfg.RequestTimeout)
	defer cancel()
	if p.address.Service == "client" {
		n.finishPost(w, p, n.sendPosted(ctx, p))
		return
	}
	_, err := n.store.EnqueueWork(ctx, p.address.Service, bus.Outgoing{Payload: p.data})
	n.finishPost(w, p, err)
}

func (n *Node) finishPost(w http.ResponseWriter, p posted, err error) {
	switch {
	case err == nil:
		writeEnvelope(w, http.StatusOK, "Request succeeded without error", map[string]json.RawMessage{"mid": p.mid})
	case errors.Is(err, errNoClient):
		writeEnvelope(w, http.StatusNotFound, "No such client", nil)
	case errors.Is(err, bus.ErrBadService), errors.Is(err, bus.ErrBadInstance):
		writeEnvelope(w, http.StatusBadRequest, "Invalid address", nil)
	default:
		n.log.Warn("posted message not taken", "error", err)
		writeEnvelope(w, http.StatusServiceUnavailable, "Messaging is unavailable", nil)
	}
}

// serveMessage asks a service and returns its answer.
func (n *Node) serveMessage(w http.ResponseWriter, r *http.Request) {
	p, ok := n.receive(w, r)
	if !ok {
		return
	}
	subject, err := serviceSubject(p.address)
	if err != nil || p.address.Service == "client" {
		writeEnvelope(w, http.StatusBadRequest, "Invalid address", nil)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), n.cfg.RequestTimeout)
	defer cancel()
	answer, err := n.nc.RequestWithContext(ctx, subject, p.data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		writeEnvelope(w, http.StatusServiceUnavailable, "Unavailable "+p.address.Service+" instances", nil)
	case errors.Is(err, context.DeadlineExceeded):
		writeEnvelope(w, http.StatusGatewayTimeout, "No answer in time", nil)
	case err != nil:
		n.log.Warn("posted request failed", "error", err)
		writeEnvelope(w, http.StatusServiceUnavailable, "Messaging is unavailable", nil)
	default:
		writeEnvelope(w, http.StatusOK, "Request succeeded without error", json.RawMessage(protocol.AnswerBody(new(umf.Envelope), answer.Data)))
	}
}
