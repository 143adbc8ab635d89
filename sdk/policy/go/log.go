package policy

// Log writes a line for people to the host's log. The host bounds what a call may log and drops the rest. In a program that
// is no module it goes nowhere.
func Log(level LogLevel, line string) { hostLog(int32(level), line) }
