//go:build !linux

package wire

import (
	"errors"
	"net"
)

func (s *Server) serveRaw(*net.TCPListener) error { return errUnsupported }

func (c *Conn) takeSocket() (net.Conn, error) { return nil, errUnsupported }

func (c *Conn) takeBack(net.Conn) error { return errUnsupported }

// temporary reports whether a later accept may succeed. net.Listener hides why it
// failed, so every error but that of a closed listener is worth another try.
func temporary(err error) bool { return !errors.Is(err, net.ErrClosed) }
