package edge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"hydrant/edge/internal/config"
)

// serveAdmin opens the administrators' listener. Where the default port is
// taken, as with a second node on one machine, any free one does.
func (n *Node) serveAdmin() error {
	n.admin = n.httpServer(n.adminHTTP())
	if n.cfg.AdminListen == "" {
		return nil
	}
	listener, err := net.Listen("tcp", n.cfg.AdminListen)
	if errors.Is(err, syscall.EADDRINUSE) && n.cfg.AdminListen == config.DefaultAdminListen {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("edge: EDGE_ADMIN_LISTEN: %w", err)
	}
	n.log.Info("administration", "listen", listener.Addr().String())
	n.background.Go(func() {
		if err := n.admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("administrators' listener ended", "error", err)
		}
	})
	return nil
}

// administer guards what changes something on the administrators' listener.
// With EDGE_ADMIN_TOKEN the token decides. Without one, whoever reaches the
// listener is an administrator; a page in an administrator's browser, which
// reaches it as well, is not. Browsers name the origin of every request that
// is not a GET (Fetch Standard, "append a request `Origin` header"), and where it
// comes from with those to this machine (Fetch Metadata), so none of theirs
// passes, whatever host it names.
func (n *Node) administer(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case n.cfg.AdminToken != "":
			if !n.isAdmin(r.Header.Get("Authorization")) {
				w.Header().Set("WWW-Authenticate", "Bearer")
				writeEnvelope(w, http.StatusUnauthorized, "EDGE_ADMIN_TOKEN is needed as bearer token", nil)
				return
			}
		case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "":
			writeEnvelope(w, http.StatusForbidden, "Browsers need a token: set EDGE_ADMIN_TOKEN", nil)
			return
		}
		serve(w, r)
	}
}

// serveDrain begins a drain. The answer comes before the first close.
func (n *Node) serveDrain(w http.ResponseWriter, _ *http.Request) {
	writeEnvelope(w, http.StatusAccepted, "Draining; the process ends when it is done", map[string]any{
		"connections":    n.connections.Load(),
		"graceSeconds":   n.cfg.DrainGrace.Seconds(),
		"timeoutSeconds": n.cfg.DrainTimeout.Seconds(),
	})
	n.Drain("administrator")
}

// logLevel is the answer of /loglevel.
type logLevel struct {
	Level string `json:"level"`
}

func (n *Node) serveLogLevel(w http.ResponseWriter, _ *http.Request) {
	if n.logLevel == nil {
		writeEnvelope(w, http.StatusNotImplemented, "The log level of this program is fixed", nil)
		return
	}
	writeEnvelope(w, http.StatusOK, "Request succeeded without error", logLevel{strings.ToLower(n.logLevel.Level().String())})
}

// setLogLevel takes debug, info, warn or error as the body. It holds until the
// process ends.
func (n *Node) setLogLevel(w http.ResponseWriter, r *http.Request) {
	if n.logLevel == nil {
		n.serveLogLevel(w, r)
		return
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 64))
	name := strings.Trim(strings.TrimSpace(string(text)), `"`)
	var level config.Level
	if err != nil || level.Decode(name) != nil {
		writeEnvelope(w, http.StatusBadRequest, "The body must be debug, info, warn or error", nil)
		return
	}
	before := n.logLevel.Level()
	n.logLevel.Set(level.Level())
	n.log.Warn("log level changed", "from", before, "to", level.Level()) // shown by all levels but one
	n.serveLogLevel(w, r)
}
