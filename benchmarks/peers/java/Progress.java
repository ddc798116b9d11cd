import java.util.concurrent.atomic.LongAdder;

/** Prints how many ticks have been processed, as the benchmark reads it: "MARK 123456". */
final class Progress {
    static final LongAdder TICKS = new LongAdder();
    private static final long EVERY_MS = 50;

    private Progress() {}

    static void print() {
        Thread thread = new Thread(Progress::loop, "progress");
        thread.setDaemon(true);
        thread.start();
    }

    private static void loop() {
        long last = 0;
        try {
            while (true) {
                Thread.sleep(EVERY_MS);
                long ticks = TICKS.sum();
                if (ticks != last) {
                    System.out.println("MARK " + ticks);
                    last = ticks;
                }
            }
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }
}
