package edge

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// httpEnvelope is how the original wraps every HTTP answer.
type httpEnvelope struct {
	StatusCode        int    `json:"statusCode"`
	StatusMessage     string `json:"statusMessage"`
	StatusDescription string `json:"statusDescription"`
	Result            any    `json:"result"`
}

func writeEnvelope(w http.ResponseWriter, status int, description string, result any) {
	if result == nil {
		result = struct{}{}
	}
	text, err := json.Marshal(httpEnvelope{status, http.StatusText(status), description, result})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the peer is gone: nobody to tell
}

// publicHTTP serves plain requests on EDGE_LISTEN: the router API and health.
func (n *Node) publicHTTP() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", n.serveHealthz)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { n.serveReadyz(w, false) })
	mux.HandleFunc("GET "+apiPrefix, n.serveAPI)
	mux.HandleFunc("POST "+apiPrefix+"send", n.serveSend)
	mux.HandleFunc("POST "+apiPrefix+"queue", n.serveQueue)
	mux.HandleFunc("POST "+apiPrefix+"message", n.serveMessage)
	mux.HandleFunc("/v1/router", notFound) // or ServeMux redirects it
	mux.HandleFunc("/", notFound)
	return mux
}

// adminHTTP serves EDGE_ADMIN_LISTEN: whoever reaches it is an administrator.
func (n *Node) adminHTTP() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", n.serveHealthz)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { n.serveReadyz(w, true) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.m.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET "+apiPrefix, n.serveAdminAPI)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("POST /drain", n.administer(n.serveDrain))
	mux.HandleFunc("GET /loglevel", n.serveLogLevel)
	mux.HandleFunc("PUT /loglevel", n.administer(n.setLogLevel))
	mux.HandleFunc("/", notFound)
	return mux
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	writeEnvelope(w, http.StatusNotFound, "Resource not found", nil)
}

func (n *Node) serveHealthz(w http.ResponseWriter, _ *http.Request) {
	writeEnvelope(w, http.StatusOK, "alive", nil)
}

// readinessAnswer is the body of /readyz.
type readinessAnswer struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
}

// serveReadyz tells whether the node takes clients, and what keeps it: to
// administrators with the details, to others only which part.
func (n *Node) serveReadyz(w http.ResponseWriter, admin bool) {
	ready, reasons := n.readiness(admin)
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	if reasons == nil {
		reasons = []string{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(readinessAnswer{ready, reasons}) // the peer is gone: nobody to tell
}

func (n *Node) serveAPI(w http.ResponseWriter, r *http.Request) {
	n.serveRoute(w, r, n.isAdmin(r.Header.Get("Authorization")))
}

// serveAdminAPI is serveAPI for administrators. What changes something is
// guarded as if it were no GET, which only the original makes of it.
func (n *Node) serveAdminAPI(w http.ResponseWriter, r *http.Request) {
	serve := func(w http.ResponseWriter, r *http.Request) { n.serveRoute(w, r, true) }
	if route, ok := n.lookupRoute(r.URL.Path, true); ok && route.changes {
		serve = n.administer(serve)
	}
	serve(w, r)
}

func (n *Node) serveRoute(w http.ResponseWriter, r *http.Request, admin bool) {
	route, ok := n.lookupRoute(r.URL.Path, admin)
	if !ok {
		notFound(w, r)
		return
	}
	if route.nats && !n.serving.Load() {
		writeEnvelope(w, http.StatusServiceUnavailable, "Not available yet", nil)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), n.cfg.RequestTimeout)
	defer cancel()
	data, err := route.serve(n, ctx)
	switch {
	case err != nil:
		n.log.Warn("router API", "path", r.URL.Path, "error", err)
		writeEnvelope(w, http.StatusServiceUnavailable, "Not available now", nil)
	case r.URL.Path == apiPrefix+"clear":
		http.Redirect(w, r, "/", http.StatusFound)
	default:
		writeEnvelope(w, http.StatusOK, "Request succeeded without error", data)
	}
}

// httpServer returns a server with the limits that every listener here needs.
func (n *Node) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: n.cfg.HandshakeTimeout, ReadTimeout: 30 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog: n.httpErrors(),
	}
}
