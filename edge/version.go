package edge

// Version is the version of this build; the linker may set it
// (-X hydrant/edge.Version=…), to whatever names the build.
var Version = "0.1.0"
