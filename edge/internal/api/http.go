package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// envelope wraps every answer over HTTP, as Hydra Router does.
type envelope struct {
	StatusCode        int    `json:"statusCode"`
	StatusMessage     string `json:"statusMessage"`
	StatusDescription string `json:"statusDescription"`
	Result            any    `json:"result"`
}

const succeeded = "Request succeeded without error"

func writeEnvelope(w http.ResponseWriter, status int, description string, result any) {
	if result == nil {
		result = struct{}{}
	}
	text, err := json.Marshal(envelope{status, http.StatusText(status), description, result})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	writeJSON(w, status, text)
}

func writeJSON(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // fails when the peer is gone
}

// Public serves plain requests on the clients' port, EDGE_LISTEN.
func (a *API) Public() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.serveProbe) // in a spelling that Probe does not know
	mux.HandleFunc("GET /readyz", a.serveProbe)
	mux.HandleFunc("GET "+prefix, func(w http.ResponseWriter, r *http.Request) {
		from, err := a.admit(r)
		var no *refusal
		if errors.As(err, &no) {
			no.write(w)
			return
		}
		a.serveRoute(w, r, from.admin)
	})
	mux.HandleFunc("POST "+prefix+"send", a.servePost("posted message not taken", a.send))
	mux.HandleFunc("POST "+prefix+"queue", a.servePost("posted message not taken", a.queue))
	mux.HandleFunc("POST "+prefix+"message", a.servePost("posted request failed", a.request))
	mux.HandleFunc("/v1/router", notFound) // or ServeMux redirects it
	mux.HandleFunc("/", notFound)
	return mux
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	writeEnvelope(w, http.StatusNotFound, "Resource not found", nil)
}

// alive is the answer of /healthz.
var alive = []byte(`{"statusCode":200,"statusMessage":"OK","statusDescription":"alive","result":{}}`)

// Probe answers the two questions of health checks on the clients' port. Event loops
// call it, so that whoever keeps net/http busy there does not make the node look dead.
func (a *API) Probe(path string) (status int, body []byte, ok bool) {
	switch path {
	case "/healthz":
		return http.StatusOK, alive, true
	case "/readyz":
		status, body = a.readyz(false)
		return status, body, true
	}
	return 0, nil, false
}

func (a *API) serveProbe(w http.ResponseWriter, r *http.Request) {
	status, body, _ := a.Probe(r.URL.Path)
	writeJSON(w, status, body)
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready    bool     `json:"ready"`
	Reasons  []string `json:"reasons"`
	Warnings []string `json:"warnings,omitempty"`
}

// readyz says whether the node takes clients, and which parts keep it from that; with
// the details, which are for administrators, also why, and what is wrong with the store
// without keeping it from anything.
func (a *API) readyz(details bool) (status int, body []byte) {
	ready, reasons := a.node.Readiness(details)
	status = http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	if reasons == nil {
		reasons = []string{}
	}
	var warnings []string
	if details {
		warnings = a.node.Warnings()
	}
	body, err := json.Marshal(readiness{ready, reasons, warnings})
	if err != nil {
		panic("api: readiness: " + err.Error()) // a bool and texts
	}
	return status, append(body, '\n')
}

// serveRoute answers a route of the router API.
func (a *API) serveRoute(w http.ResponseWriter, r *http.Request, admin bool) {
	route, ok := a.find(r.URL.Path, admin)
	if !ok {
		notFound(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.node.Config.RequestTimeout)
	defer cancel()
	data, err := a.answer(ctx, route)
	switch {
	case errors.Is(err, errNotServing):
		writeEnvelope(w, http.StatusServiceUnavailable, "Not available yet", nil)
	case err != nil:
		a.node.Log.Warn("router API", "path", r.URL.Path, "error", err)
		writeEnvelope(w, http.StatusServiceUnavailable, "Not available now", nil)
	case r.URL.Path == prefix+"clear":
		http.Redirect(w, r, "/", http.StatusFound)
	default:
		writeEnvelope(w, http.StatusOK, succeeded, data)
	}
}
