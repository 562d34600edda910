package wire

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// certCheck is the least time between two looks at the files.
const certCheck = time.Second

// Certificates serves a certificate from files, and the new one when the files have
// changed. It looks at them when a client connects, so there is no goroutine and
// nothing to stop. While new files do not fit together, as between the writing of
// one and the other, it keeps the last good certificate.
type Certificates struct {
	// Immutable after LoadCertificates.
	cert, key string
	log       *slog.Logger
	now       func() time.Time

	// Any goroutine.
	current atomic.Pointer[tls.Certificate]
	busy    atomic.Bool // a goroutine looks at the files

	// Owned by the goroutine that has set busy.
	stamp   [2]fileStamp
	checked time.Time
}

// fileStamp distinguishes one version of a file from the next.
type fileStamp struct {
	mod  time.Time
	size int64
}

// LoadCertificates reads the files, in PEM.
func LoadCertificates(certFile, keyFile string, log *slog.Logger) (*Certificates, error) {
	if log == nil {
		log = slog.Default()
	}
	c := &Certificates{cert: certFile, key: keyFile, log: log, now: time.Now}
	stamp, err := c.look()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("wire: certificate: %w", err)
	}
	c.stamp, c.checked = stamp, c.now()
	c.current.Store(&pair)
	return c, nil
}

// Config returns a server's configuration: TLS 1.2 or later, and HTTP/1.1, which
// an upgrade needs.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: c.get,
	}
}

func (c *Certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	// One goroutine looks; the others do not wait for the disk.
	if c.busy.CompareAndSwap(false, true) {
		if now := c.now(); now.Sub(c.checked) >= certCheck {
			c.checked = now
			c.reload()
		}
		c.busy.Store(false)
	}
	return c.current.Load(), nil
}

func (c *Certificates) reload() {
	stamp, err := c.look()
	if err == nil && stamp == c.stamp {
		return
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.cert, c.key)
	}
	if err != nil {
		c.log.Warn("wire: the certificate stays as it was", "err", err)
		return
	}
	c.stamp = stamp
	c.current.Store(&pair)
	c.log.Info("wire: certificate reloaded", "file", c.cert)
}

func (c *Certificates) look() (stamp [2]fileStamp, err error) {
	for i, name := range []string{c.cert, c.key} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, fmt.Errorf("wire: certificate: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamp, nil
}
