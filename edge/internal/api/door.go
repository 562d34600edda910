package api

import (
	"net"
	"net/http"
	"time"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/stats"
)

// door stands before everything at the administrators' listener.
type door struct {
	a      *API
	local  bool // nobody but this machine reaches the listener
	inside http.Handler
}

// open is what needs no token, and says nothing of sessions.
var open = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true}

var (
	errNeedToken = &refusal{status: http.StatusUnauthorized, text: "EDGE_ADMIN_TOKEN is needed as bearer token"}
	errNoToken   = &refusal{status: http.StatusUnauthorized, text: "Health and metrics alone are for other machines: set EDGE_ADMIN_TOKEN"}
	errBrowser   = &refusal{status: http.StatusForbidden, text: "Browsers need a token: set EDGE_ADMIN_TOKEN"}
	errHost      = &refusal{status: http.StatusMisdirectedRequest, text: "This listener has another name: EDGE_ADMIN_HOSTS"}
)

// ServeHTTP implements [http.Handler].
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if no := d.refusal(r); no != nil {
		no.write(w)
		return
	}
	d.inside.ServeHTTP(w, r)
}

// refusal says why a request may not come in; nil: it may. The field Host comes first: a
// page can have a name of its own lead here, and its browser then lets it read the answer.
func (d *door) refusal(r *http.Request) *refusal {
	a := d.a
	switch {
	case !a.node.Config.IsAdminHost(r.Host):
		a.node.Metrics.Dropped.Inc(stats.DropHost)
		return errHost
	case open[r.URL.Path] && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return nil
	case a.desk.Ask():
		return d.ask(r)
	case !d.local:
		return errNoToken
	case isForeignPage(r):
		return errBrowser
	}
	return nil
}

// ask looks for the token.
func (d *door) ask(r *http.Request) *refusal {
	from := peerOf(r)
	standing := d.a.desk.Check(field(r, "Authorization"), from, time.Now())
	switch standing {
	case access.Administrator:
		return nil
	case access.TooManyTokens:
		return errTokens
	}
	d.a.countWrong(standing, stats.TokenAdmin, from)
	return errNeedToken
}

// guard lets administrators change something. With EDGE_ADMIN_TOKEN the token has
// decided. Without one, whoever reaches the listener is an administrator, but a
// page in an administrator's browser, which reaches it as well, is not. Browsers
// name the origin of every request that is not a GET (Fetch Standard, "append a
// request `Origin` header"), and with those to this machine where they come from
// (Fetch Metadata), so none of theirs passes, whatever host it names.
func (a *API) guard(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !a.desk.Ask() && (r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "") {
			errBrowser.write(w)
			return
		}
		serve(w, r)
	}
}

// isForeignPage reports whether a page from elsewhere has a browser send a request, which
// need not read the answer: a profile takes the processor all the same. What an
// administrator types into a browser is of no site, and what is linked there of the same.
func isForeignPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "none", "same-origin":
		return false
	case "": // a program, or a browser that does not say
		return r.Header.Get("Origin") != ""
	}
	return true
}

// needToken refuses, at the clients' port, who does not have the token of administrators.
func (a *API) needToken(w http.ResponseWriter, from *caller) {
	a.countWrong(from.standing, stats.TokenHTTP, from.address)
	if from.standing == access.TooManyTokens {
		errTokens.write(w)
		return
	}
	errNeedToken.write(w)
}

// isLoopback reports whether a listener is for this machine alone.
func isLoopback(at net.Addr) bool {
	tcp, ok := at.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
