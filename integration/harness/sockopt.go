package harness

import "syscall"

// receiveBuffer makes a dialer's Control that shrinks the receive buffer
// before the handshake, where it still bounds the window (tcp(7)).
func receiveBuffer(bytes int) func(network, address string, c syscall.RawConn) error {
	if bytes == 0 {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if controlErr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, bytes)
		}); controlErr != nil {
			return controlErr
		}
		return err
	}
}
