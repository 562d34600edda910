package edge

import (
	"fmt"
	"math"
	"net/netip"

	"hydrant/edge/internal/config"
	"hydrant/edge/internal/wire"
)

// wireOptions translates the configuration for the connection layer.
func (n *Node) wireOptions() (wire.Options, error) {
	o := wire.Options{
		MaxMessage: n.cfg.MaxFrame(), MaxHandshake: int(n.cfg.MaxHead), WriteBuffer: int(n.cfg.WriteBuffer),
		HandshakeTimeout: n.cfg.HandshakeTimeout, PingInterval: n.cfg.PingInterval, WriteTimeout: n.cfg.WriteTimeout,
		MaxConnections: n.cfg.MaxConnections, MaxConnectionsPerAddress: n.cfg.MaxConnectionsPerAddress,
		MessageRate: n.cfg.RateMessages, MessageBurst: burst(n.cfg.RateMessages, 1),
		ByteRate: float64(n.cfg.RateBytes), ByteBurst: burst(float64(n.cfg.RateBytes), float64(n.cfg.MaxFrame())+(64<<10)),
		BufferMemory: config.MemoryLimit() / memoryBuffers, Probe: n.api.Probe, Compression: n.cfg.Compression, ProxyProtocol: n.cfg.ProxyProtocol, Logger: n.log,
	}
	if limit, ok := config.DescriptorLimit(); ok && o.MaxConnections == 0 {
		o.MaxConnections = mostConnections(limit)
	}
	for _, p := range n.cfg.TrustedProxies {
		o.TrustedProxies = append(o.TrustedProxies, netip.Prefix(p))
	}
	if n.cfg.TLSCert != "" {
		certificates, err := wire.LoadCertificates(n.cfg.TLSCert, n.cfg.TLSKey, n.log)
		if err != nil {
			return o, fmt.Errorf("%w: EDGE_TLS_CERT: %w", ErrConfig, err)
		}
		o.TLS = certificates.Config()
	}
	return o, nil
}

// burst is as much as [rates] has of it for one connection.
func burst(rate, least float64) float64 { return max(rate*rateBurst.Seconds(), least) }

// spareDescriptors are for what is not a socket of a client: NATS, loops, files.
const spareDescriptors = 512

// mostConnections is how many connections leave descriptors for everything
// else: without any, a node could neither reach NATS nor say how it is.
func mostConnections(limit uint64) int {
	sockets := int(min(limit, math.MaxInt32)) - spareDescriptors - wire.Reserve(0)
	return max(sockets-sockets/64, int(min(limit, spareDescriptors)+1)/2) // the reserve grows by a 64th
}
