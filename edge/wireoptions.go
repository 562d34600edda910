package edge

import (
	"fmt"
	"net/netip"

	"hydrant/edge/internal/wire"
)

// wireOptions translates the configuration for the connection layer.
func (n *Node) wireOptions() (wire.Options, error) {
	o := wire.Options{
		MaxMessage: int64(n.cfg.MaxMessage), WriteBuffer: int(n.cfg.WriteBuffer),
		HandshakeTimeout: n.cfg.HandshakeTimeout, PingInterval: n.cfg.PingInterval, WriteTimeout: n.cfg.WriteTimeout,
		MaxConnections: n.cfg.MaxConnections, MaxConnectionsPerAddress: n.cfg.MaxConnectionsPerAddress,
		MessageRate: n.cfg.RateMessages, ByteRate: float64(n.cfg.RateBytes),
		BufferMemory: memoryLimit() / memoryBuffers, Compression: n.cfg.Compression, ProxyProtocol: n.cfg.ProxyProtocol, Logger: n.log,
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
