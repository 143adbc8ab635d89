package envtest

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// removeScript waits for the end of its input, which comes with the end of the process that holds the other end. The
// servers die at the same time; one may write a last file while the directory goes.
const removeScript = `cat; for second in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" && [ ! -e "$1" ] && exit; sleep 1; done`

// removeAtEnd has the directory removed when this process is gone: go test gives a package no last word, and a binary
// that panics or is killed has none either. Nobody waits for the child: it outlives us by design, and ends by itself. The answer is the end of the pipe that must stay open: a file that nothing refers to is
// closed by the garbage collector.
func removeAtEnd(dir string) (io.Closer, error) {
	command := exec.Command("sh", "-c", removeScript, "sh", dir)
	// A group of its own, so that a Ctrl-C in the terminal does not reach it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start sh, which removes the server's files at the end: %w", err)
	}
	return pipe, nil
}
