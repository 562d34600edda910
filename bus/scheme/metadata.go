package scheme

import (
	"os"
)

// Metadata keys that the kit sets.
const (
	MetaInstance = "instance"
	MetaHost     = "hostname"
	MetaRoutes   = "routes"
	MetaKind     = "kind"
)

// Kinds of participants, as MetaKind has them.
const (
	KindService = "service"
	KindNode    = "node"
)

func Hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return ""
	}
	return h
}
