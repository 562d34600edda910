package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"hydrant/edge/client/js"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/stats"
)

// Public serves plain requests on the clients' port, EDGE_LISTEN.
func (a *API) Public() http.Handler { return &public{a} }

// public is what clients reach. Its paths are not those of a [http.ServeMux], which
// redirects what it does not take for the way to write a path: services see it as it
// came.
type public struct{ a *API }

// ServeHTTP implements [http.Handler].
func (p *public) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := p.a
	if r.URL.Path == clientPath {
		serveClient(w, r)
		return
	}
	if page := a.node.Pages[r.URL.Path]; page != nil {
		page.ServeHTTP(w, r)
		return
	}
	mayRead := a.allowPages(w, r)
	if r.Method == http.MethodOptions {
		a.serveOptions(w, r, mayRead)
		return
	}
	switch path := r.URL.Path; {
	case path == "/healthz", path == "/readyz":
		a.serveProbe(w, r)
	case isRouters(path):
		a.node.Traffic.Add(a.node.Config.ServiceName, stats.WayHTTP, time.Now(), 1)
		a.serveRouter(w, r)
	default:
		a.serveService(w, r)
	}
}

// clientPath is where pages find the client. No service has that path.
const clientPath = "/hydrant.js"

// serveClient hands out the client, to anybody.
func serveClient(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		js.Serve(w, r)
	case http.MethodOptions:
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Allow", strings.Join(probeMethods, ", "))
		w.WriteHeader(http.StatusNoContent)
	default:
		notAllowed(w, probeMethods)
	}
}

// isRouters reports whether a path is the router's own, and no service's.
func isRouters(path string) bool { return path == "/v1/router" || strings.HasPrefix(path, prefix) }

// Methods of the node's own paths, where it is not all of them.
var (
	probeMethods = []string{http.MethodGet, http.MethodHead, http.MethodOptions}
	postMethods  = []string{http.MethodPost, http.MethodOptions}
)

func notFound(w http.ResponseWriter, _ *http.Request) { errNotThere.write(w) }

// notAllowed says which methods there are (RFC 9110 §15.5.6).
func notAllowed(w http.ResponseWriter, methods []string) {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeEnvelope(w, http.StatusMethodNotAllowed, "The methods of this path are "+strings.Join(methods, ", "), nil)
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

// serveProbe answers them where the loop did not know them for what they are.
func (a *API) serveProbe(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		notAllowed(w, probeMethods)
		return
	}
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

// serveRouter answers what is the router's own, on the clients' port.
func (a *API) serveRouter(w http.ResponseWriter, r *http.Request) {
	from, err := a.admit(r)
	if err != nil {
		a.refuse(w, &from, err)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, prefix)
	post, there := posts[name]
	switch {
	case there && r.Method != http.MethodPost:
		notAllowed(w, postMethods)
	case there:
		a.servePost(w, r, from, post)
	default:
		a.serveRoute(w, r, &from)
	}
}

// serveRoute answers a route of the router API, whatever the method.
func (a *API) serveRoute(w http.ResponseWriter, r *http.Request, from *caller) {
	route, there := a.find(r.URL.Path)
	switch {
	case !there:
		notFound(w, r)
		return
	case !a.mayUse(route, from.isAdmin()):
		a.needToken(w, from)
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
	case route.plain:
		writeAnswer(w, http.StatusOK, data)
	case r.URL.Path == prefix+"list/nodes":
		a.writeNodes(w, data)
	default:
		writeEnvelope(w, http.StatusOK, succeeded, data)
	}
}

// The fields of CORS, as Hydra Router has them. It sends them to every page, with * for
// the origin, which no browser takes together with credentials.
var pageHeaders = [...][2]string{
	{"Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS"},
	{"Access-Control-Allow-Headers", "accept, authorization, cache-control, content-type, x-requested-with"},
	{"Access-Control-Allow-Credentials", "true"},
	{"Access-Control-Max-Age", "10"},
}

// allowPages lets pages read the answer, of those origins that may connect, and
// reports whether that of the request may. Without an origin there is no page.
func (a *API) allowPages(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := field(r, "Origin")
	if origin == "" || a.node.Config.HttpApi == config.HTTPAPIOff {
		return origin == ""
	}
	if !a.mayConnect(r) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	for _, field := range pageHeaders {
		h.Set(field[0], field[1])
	}
	return true
}

// serveOptions answers what a browser asks before it sends a page's request. It shows
// no credentials with that (Fetch Standard, "CORS-preflight fetch").
func (a *API) serveOptions(w http.ResponseWriter, r *http.Request, mayRead bool) {
	switch {
	case a.node.Config.HttpApi == config.HTTPAPIOff:
		notFound(w, r)
		return
	case !mayRead:
		a.RefuseOrigin(field(r, "Origin"))
		errOrigin.write(w)
		return
	}
	if methods := a.methods(r.URL.EscapedPath()); len(methods) > 0 {
		w.Header().Set("Allow", strings.Join(methods, ", "))
	}
	w.WriteHeader(http.StatusNoContent)
}

// methods are those of a path, as far as it is known; empty: all, or there is none.
func (a *API) methods(path string) []string {
	if path == "/healthz" || path == "/readyz" {
		return probeMethods
	}
	if name, ok := strings.CutPrefix(path, prefix); ok && posts[name] != nil {
		return postMethods
	}
	if path = plainPath(path); isRouters(path) || !strings.HasPrefix(path, "/") {
		return nil
	}
	if to := a.catalog.current().find(http.MethodOptions, path); len(to.allowed) > 0 {
		return listed(to.allowed)
	}
	return nil
}

// listed joins the methods of a route with those that the node answers for it. "" is
// all of them.
func listed(methods []string) []string {
	all := append([]string{http.MethodOptions}, methods...)
	if i := slices.Index(all, ""); i >= 0 {
		all = append(slices.Delete(all, i, i+1), http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete)
	}
	if slices.Contains(methods, http.MethodGet) {
		all = append(all, http.MethodHead)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
