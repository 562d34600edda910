package scheme

import "os"

// Keys of the metadata in service discovery.
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

// Metadata is what a participant tells of itself in service discovery.
func Metadata(kind, instance string) map[string]string {
	host, err := os.Hostname()
	if err != nil {
		host = "" // it is for people
	}
	return map[string]string{MetaKind: kind, MetaInstance: instance, MetaHost: host}
}
