import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Conductor's own gRPC client for Java, as its users have it, against the server at HOST PORT.
 *
 * <p>Each scene checks what it did by what the client reads back. Its name is printed once it
 * holds; the first that doesn't ends the program with an exception that says what was found.
 */
final class Main {
    private interface Scene {
        void play(Clients clients) throws Exception;
    }

    private static final Map<String, Scene> SCENES = new LinkedHashMap<>();

    static {
        SCENES.put("task definitions", Definitions::tasks);
        SCENES.put("workflow definitions", Definitions::workflows);
        SCENES.put("event handlers", Definitions::eventHandlers);
        SCENES.put("what is missing", Definitions::missing);
        SCENES.put("any JSON goes through", Executions::anyJson);
        SCENES.put("an empty poll", Executions::emptyPoll);
        SCENES.put("polls of a domain", Executions::domain);
        SCENES.put("a streamed poll", Executions::streamedPoll);
        SCENES.put("progress, logs, retries", Executions::retries);
        SCENES.put("branches, loops, children", Executions::operators);
        SCENES.put("pause, resume, skip", LifeCycle::pause);
        SCENES.put("terminate, retry, restart, rerun", LifeCycle::again);
        SCENES.put("delete", LifeCycle::delete);
        SCENES.put("searches", Searches::byQuery);
        SCENES.put("lists", Searches::lists);
    }

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        try (Clients clients = new Clients(arguments[0], Integer.parseInt(arguments[1]))) {
            for (Map.Entry<String, Scene> each : SCENES.entrySet()) {
                try {
                    each.getValue().play(clients);
                } catch (Exception | AssertionError problem) {
                    throw new IOException("scene: " + each.getKey(), problem);
                }
                System.out.println(each.getKey());
            }
        }
    }
}
