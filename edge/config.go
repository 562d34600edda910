package edge

import "hydrant/edge/internal/config"

// ErrConfig is wrapped by every error that a bad or unknown setting causes.
var ErrConfig = config.ErrConfig

// Config holds every EDGE_ setting of a node: `hydrant help config` prints what
// they mean. A setting that takes one of a few words is set with its Decode.
type Config = config.Config

// LoadConfig reads the EDGE_ variables of the process. Unknown EDGE_ variables
// and bad values are errors that wrap [ErrConfig], one line each.
func LoadConfig() (Config, error) { return config.Load() }

// DefaultConfig returns the settings of a node without any EDGE_ variable.
func DefaultConfig() (Config, error) { return config.Default() }
