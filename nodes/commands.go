package nodes

import (
	"errors"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// grace is how long a command may take to end when it was told to, and its children when it has ended.
const grace = 500 * time.Millisecond

// Commands are the commands that exec nodes are running, for a program that must end at once.
type Commands struct {
	// Folder is where commands run that name no folder, and where their relative ones begin. Empty it is the program's own.
	// It does not change while a pipeline runs.
	Folder string

	mu      sync.Mutex
	running map[*exec.Cmd]func() // how to kill each with its children
	killed  bool
}

// Kill ends the commands with their children, and lets no other begin.
func (c *Commands) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	for _, kill := range c.running {
		kill()
	}
}

// In is a path that counts from the folder of the commands.
func (c *Commands) In(path string) string {
	if c.Folder == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.Folder, path)
}

// start starts a command in a process group of its own. What it gives back is for when the command has ended: it kills
// what is left of the group.
func (c *Commands) start(cmd *exec.Cmd) (ended func(), err error) {
	kill, sweep := asGroup(cmd)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return nil, errors.New("no command may begin any more")
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if c.running == nil {
		c.running = map[*exec.Cmd]func(){}
	}
	c.running[cmd] = kill
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.running, cmd)
		sweep()
	}, nil
}
