package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

var (
	errNoPage    = &refusal{status: http.StatusNotFound, text: "There is no page here: this is a node of Hydrant, which takes WebSockets. Pages load its client from /hydrant.js; /v1/router/openapi.json has what else it answers"}
	errTooLong   = &refusal{status: http.StatusRequestURITooLong, text: "Path and query are too long"}
	errUnsigned  = &refusal{status: http.StatusForbidden, text: "EDGE_SIGNATURE=required: requests by path cannot be signed; POST a signed message for svc:[METHOD]/path to /v1/router/message"}
	errBusy      = &refusal{status: http.StatusServiceUnavailable, text: "Too many requests are under way"}
	errBadJSON   = &refusal{status: http.StatusBadRequest, text: "The body is not the JSON that its content type says"}
	errBadStatus = &refusal{status: http.StatusBadGateway, text: "The service answers with a status that is none"}
)

// serveService answers a request by path from the service that has registered it.
func (a *API) serveService(w http.ResponseWriter, r *http.Request) {
	from, err := a.admit(r)
	if err != nil {
		a.refuse(w, &from, err)
		return
	}
	if a.node.Signatures != nil {
		errUnsigned.write(w)
		return
	}
	to, err := a.place(r)
	if err != nil {
		refuse(w, err)
		return
	}
	if to.service == "" {
		notAllowed(w, listed(to.allowed))
		return
	}
	turn := &turn{gate: a.gate}
	defer turn.end()
	got, err := a.askByPath(w, r, turn, from, to)
	a.node.Traffic.Add(to.service, stats.WayHTTP, time.Now(), 1)
	if err != nil {
		if no := (*refusal)(nil); !errors.As(err, &no) {
			a.node.Log.Warn("request by path failed", "service", to.service, "error", err)
			err = errUnavailable
		}
		if no := (*refusal)(nil); errors.As(err, &no) && no.status >= http.StatusInternalServerError {
			a.node.Traffic.Add(to.service, stats.WayError, time.Now(), 1)
		}
		a.refuse(w, &from, err)
		return
	}
	got.write(w)
}

// place finds the service for a request. A path that is in no catalog is looked for
// anew: it is 404 only by what services have told since the request came. All its
// errors are refusals.
func (a *API) place(r *http.Request) (found, error) {
	path := plainPath(r.URL.EscapedPath())
	if !strings.HasPrefix(path, "/") {
		return found{}, errNotThere
	}
	if a.node.NATS() == nil {
		return found{}, errUnavailable
	}
	to := a.catalog.current().find(r.Method, path)
	if to.service == "" {
		ctx, cancel := context.WithTimeout(r.Context(), catalogWait)
		defer cancel()
		latest, err := a.catalog.ask(ctx)
		if err != nil {
			return found{}, errUnavailable
		}
		to = latest.find(r.Method, path)
	}
	switch {
	case len(to.allowed) > 0:
		return to, nil
	case path == "/":
		return found{}, errNoPage
	}
	return found{}, errNotThere
}

// askByPath asks a service. Its errors are refusals, or of NATS.
func (a *API) askByPath(w http.ResponseWriter, r *http.Request, turn *turn, from caller, to found) (*webReply, error) {
	if denial, ok := from.rights.Service(to.service); !ok {
		return nil, a.deny(denial, to.service)
	}
	n := a.node.NATS()
	if n == nil || !a.node.Connected() {
		return nil, errUnavailable
	}
	leave, err := a.enter(r, int64(a.node.Config.MaxMessage))
	if err != nil {
		return nil, err
	}
	defer leave()
	message, err := a.message(w, r, turn, from, to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.node.Config.RequestTimeout)
	defer cancel()
	var span trace.Span
	message.Header, span = a.trace(r, "http request", to.service, message.Header)
	asked := time.Now()
	answer, err := n.Conn.RequestMsgWithContext(ctx, message)
	a.messages.put(message.Data)
	tracectx.End(span, err)
	a.node.Metrics.RequestTime.Observe(time.Since(asked).Seconds())
	a.node.Metrics.Requests.Inc(ended(err))
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, &refusal{status: http.StatusServiceUnavailable, text: "Unavailable " + to.service + " instances"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return nil, errTimeout
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, errTooLarge
	case err != nil:
		return nil, err
	}
	a.resume(r.Context(), turn, len(answer.Data))
	return readReply(answer)
}

// ended is how a request to a service went.
func ended(err error) stats.Request {
	switch {
	case err == nil, errors.Is(err, nats.ErrNoResponders):
		return stats.RequestAnswered
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return stats.RequestTimeout
	}
	return stats.RequestFailed
}

// message is what goes to the service for a request, with data of the buffers. All its
// errors are refusals.
func (a *API) message(w http.ResponseWriter, r *http.Request, turn *turn, from caller, to found) (*nats.Msg, error) {
	address := to.service + ":[" + to.method + "]" + to.path
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		address += "?" + r.URL.RawQuery
	}
	if _, err := umf.ParseAddress(address); err != nil {
		if len(address) > umf.MaxAddress {
			return nil, errTooLong
		}
		return nil, errAddress
	}
	body, err := readBody(w, r, int64(a.node.Config.MaxMessage), &a.bodies)
	if err != nil {
		return nil, err
	}
	defer a.bodies.put(body)
	if !from.account.TakeBytes(len(body), a.uptime()) {
		return nil, a.overRate()
	}
	if err := a.begin(r.Context(), turn, len(body)); err != nil {
		return nil, err
	}
	m := webMessage{request: r, to: address, router: a.node.Router, body: body, silent: from.shown}
	data, err := m.append(a.messages.get(m.size()), time.Now())
	if err != nil {
		return nil, err
	}
	return &nats.Msg{Subject: scheme.ServiceSubject(scheme.Service(to.service)), Data: data, Header: from.header()}, nil
}

// unreserved are the characters that mean the same with and without an escape (RFC
// 3986 §2.3).
func unreserved(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// plainPath writes a path, in its escaped form, without escapes that change nothing:
// routes are compared as texts.
func plainPath(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c := unhex(path[i+1])<<4 | unhex(path[i+2]); unreserved(c) {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// unhex reads a digit of an escape, which net/url has checked.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
