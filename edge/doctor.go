package edge

import (
	"context"
	"fmt"
	"net"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/config"
)

// Diagnose checks whether a node of this configuration would run well here:
// NATS, its permissions and streams, and this machine; without a URL of NATS this
// machine alone. It creates and changes nothing.
func Diagnose(ctx context.Context, cfg Config, busCfg bus.Config) []store.Finding {
	checks := append(checkDescriptors(cfg.MaxConnections), checkAdmin(&cfg)...)
	if busCfg.URL == "" {
		return checks
	}
	busCfg = busCfg.As(scheme.UserEdge)
	busCfg.InboxPrefix = scheme.NodeInbox
	connect := func(opts ...nats.Option) (*nats.Conn, error) { return bus.Connect(busCfg, "hydrant-doctor", opts...) }
	ignore := func(*nats.Conn, *nats.Subscription, error) {} // CheckPermissions reports them
	nc, err := connect(nats.ErrorHandler(ignore))
	if err != nil {
		return append(checks, store.Finding{Verdict: store.Fail, What: "NATS", Detail: err.Error(), Fix: "check NATS_URL, the credentials, and that the server runs"})
	}
	defer nc.Close()
	checks = append(checks, store.CheckPermissions(ctx, connect, cfg.MailboxStreams)...) // first: it explains the rest
	checks = append(checks, store.Diagnose(ctx, nc, storeConfig(&cfg, nc))...)
	checks = append(checks, store.DiagnoseQueues(ctx, nc, services(cfg.QueueServices))...)
	checks = append(checks, checkServers(nc, replicas(&cfg, nc)), checkPayload(nc, &cfg))
	return checks
}

// checkServers compares the servers that the connected one tells of with the
// copies that there are to be.
func checkServers(nc *nats.Conn, replicas int) store.Finding {
	c := store.Finding{What: "replicas", Detail: fmt.Sprintf("%d of every stream; %d addresses of servers are known", replicas, len(nc.Servers()))}
	switch {
	case replicas > 1 && nc.ConnectedClusterName() == "":
		c.Verdict, c.Fix = store.Fail, "EDGE_STREAM_REPLICAS needs a NATS cluster"
	case replicas > len(nc.Servers()):
		c.Verdict, c.Fix = store.Warn, "add servers, unless the cluster does not advertise them"
	case replicas == 2 || replicas == 4:
		c.Verdict, c.Fix = store.Warn, "use 3 or 5: an even number survives no more failures than one less"
	}
	return c
}

func checkPayload(nc *nats.Conn, cfg *Config) store.Finding {
	c := store.Finding{What: "largest message", Detail: fmt.Sprintf("EDGE_MAX_MESSAGE %d bytes, and the rest of a message; NATS takes %d, of which headers may take %d", cfg.MaxMessage, nc.MaxPayload(), headerRoom)}
	if cfg.MaxFrame()+headerRoom > nc.MaxPayload() {
		c.Verdict, c.Fix = store.Warn, "lower EDGE_MAX_MESSAGE or raise max_payload in NATS: what lies between is read from clients and then refused"
	}
	return c
}

// checkAdmin tells of a listener at which nobody is an administrator.
func checkAdmin(cfg *Config) []store.Finding {
	host, _, err := net.SplitHostPort(cfg.AdminListen)
	if cfg.AdminListen == "" || cfg.AdminToken != "" {
		return nil
	}
	c := store.Finding{What: "admin listener", Detail: cfg.AdminListen}
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		c.Verdict, c.Fix = store.Warn, "set EDGE_ADMIN_TOKEN: without it this listener has health and metrics alone"
	}
	return []store.Finding{c}
}

// fewDescriptors is a limit that looks like nobody thought of it.
const fewDescriptors = 10_000

// checkDescriptors compares the descriptor limit with the clients.
func checkDescriptors(clients int) []store.Finding {
	limit, ok := config.DescriptorLimit()
	if !ok {
		return nil
	}
	most := mostConnections(limit)
	c := store.Finding{What: "descriptors", Detail: fmt.Sprintf("limit %d, room for %d clients", limit, most)}
	const fix = "raise the limit: LimitNOFILE= of systemd, ulimits: of compose, ulimit -n"
	switch {
	case clients > most:
		c.Verdict, c.Fix = store.Fail, fix
		c.Detail += fmt.Sprintf("; EDGE_MAX_CONNECTIONS is %d", clients)
	case clients == 0 && limit < fewDescriptors:
		c.Verdict, c.Fix = store.Warn, fix
	}
	return []store.Finding{c}
}
