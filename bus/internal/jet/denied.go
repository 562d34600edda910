package jet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// ErrDenied: this user may not publish there.
var ErrDenied = errors.New("bus: permission denied")

// Denied reports whether the server denies this user to publish to a subject: it sends
// body there, and then a ping. NATS says nothing to who may not ask; but it has told the
// connection before it answers the ping. body is to be something that does no harm.
func Denied(ctx context.Context, nc *nats.Conn, subject string, body []byte) bool {
	before := nc.LastError()
	if nc.Publish(subject, body) != nil || nc.FlushWithContext(ctx) != nil {
		return false
	}
	err := nc.LastError()
	return err != nil && err != before && errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), fmt.Sprintf("%q", subject))
}
