package cli

import "sync"

// window bounds what is done at a time.
type window struct {
	atOnce int // so much is worked on
	ahead  int // so much is begun and not handed on
	bytes  int // what was done and is not handed on is about so large when nothing more is begun
}

// inOrder works on what comes next, and hands on what comes of it in the order in which that came, each as soon as all
// before it are handed on, until there is no more. When handing on fails it does so no more, and gives the error at the
// end: it is for next to end that then. next and emit are not called by two at once.
func inOrder[In, Out any](w window, next func() (In, bool), work func(In) Out, size func(Out) int, emit func(Out) error) error {
	var mu sync.Mutex
	waiting, less := 0, sync.NewCond(&mu)
	add := func(n int) {
		mu.Lock()
		waiting += n
		mu.Unlock()
		less.Signal()
	}
	begun := make(chan chan Out, w.ahead)
	go func() {
		defer close(begun)
		slots := make(chan struct{}, w.atOnce)
		for {
			slots <- struct{}{}
			mu.Lock()
			for waiting > w.bytes {
				less.Wait()
			}
			mu.Unlock()
			in, ok := next()
			if !ok {
				return
			}
			done := make(chan Out, 1)
			begun <- done
			go func() {
				out := work(in)
				add(size(out))
				<-slots
				done <- out
			}()
		}
	}()
	var failed error
	for done := range begun {
		out := <-done
		if failed == nil {
			failed = emit(out)
		}
		add(-size(out))
	}
	return failed
}
