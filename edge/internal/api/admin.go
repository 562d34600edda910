package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
)

// ListenAdmin opens the administrators' listener, EDGE_ADMIN_LISTEN. Where the
// default port is taken, as with a second node on one machine, it takes any free
// one.
func ListenAdmin(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) && address == config.DefaultAdminListen {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("edge: EDGE_ADMIN_LISTEN: %w", err)
	}
	return listener, nil
}

// Admin serves the administrators' listener, which is at an address, before the node
// serves as well. What is added here is for administrators, unless [open] has it.
func (a *API) Admin(at net.Addr) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.serveProbe)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status, body := a.readyz(true)
		writeJSON(w, status, body)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.node.Metrics.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc(prefix, a.serveAdminRoute)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("POST /drain", a.guard(a.serveDrain))
	mux.HandleFunc("GET /loglevel", a.serveLogLevel)
	mux.HandleFunc("PUT /loglevel", a.guard(a.setLogLevel))
	mux.HandleFunc("/", notFound)
	return &door{a: a, local: isLoopback(at), inside: mux}
}

// serveAdminRoute answers a route to an administrator. One that changes something
// is guarded, although it is a GET. One that names sessions needs the token, also where
// none is set: an id is all that it takes to get some sessions.
func (a *API) serveAdminRoute(w http.ResponseWriter, r *http.Request) {
	from := caller{standing: access.Administrator} // the door has let it in
	serve := func(w http.ResponseWriter, r *http.Request) { a.serveRoute(w, r, &from) }
	route, ok := a.find(r.URL.Path)
	switch {
	case ok && route.names && !a.desk.Ask():
		errNeedToken.write(w)
		return
	case ok && route.changes:
		serve = a.guard(serve)
	}
	serve(w, r)
}

// serveDrain begins a drain. The whole answer is sent before: a node without clients may
// have ended before this returns.
func (a *API) serveDrain(w http.ResponseWriter, _ *http.Request) {
	n := &a.node
	writeEnvelope(w, http.StatusAccepted, "Draining; the process ends when it is done", map[string]any{
		"connections":    n.Connections(),
		"graceSeconds":   n.Config.DrainGrace.Seconds(),
		"timeoutSeconds": n.Config.DrainTimeout.Seconds(),
	})
	_ = http.NewResponseController(w).Flush() // fails when the peer is gone
	n.Drain("administrator")
}

// logLevel is the answer of /loglevel.
type logLevel struct {
	Level string `json:"level"`
}

func (a *API) serveLogLevel(w http.ResponseWriter, _ *http.Request) {
	level := a.node.LogLevel
	if level == nil {
		writeEnvelope(w, http.StatusNotImplemented, "The log level of this program is fixed", nil)
		return
	}
	writeEnvelope(w, http.StatusOK, succeeded, logLevel{strings.ToLower(level.Level().String())})
}

// maxLevelText bounds the body of PUT /loglevel.
const maxLevelText = 64

// setLogLevel takes debug, info, warn or error as the body, as plain text or as
// JSON. It holds until the process ends.
func (a *API) setLogLevel(w http.ResponseWriter, r *http.Request) {
	level := a.node.LogLevel
	if level == nil {
		a.serveLogLevel(w, r)
		return
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxLevelText))
	name := strings.Trim(strings.TrimSpace(string(text)), `"`)
	var wanted config.Level
	if err != nil || wanted.Decode(name) != nil {
		writeEnvelope(w, http.StatusBadRequest, "The body must be debug, info, warn or error", nil)
		return
	}
	before := level.Level()
	level.Set(wanted.Level())
	a.node.Log.Warn("log level changed", "from", before, "to", wanted.Level()) // shown by all levels but one
	a.serveLogLevel(w, r)
}
