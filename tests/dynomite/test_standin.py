"""The stand-in answers, closes and mangles as contract/dynomite.md §2 and §3 say of Dynomite."""

from __future__ import annotations

import shlex
import socket
from typing import TYPE_CHECKING, Any

import pytest
from redis import ConnectionError as Closed
from redis import Redis, ResponseError
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.dynomite.rules import FORMS
from tests.dynomite.standin import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.part("redis-server")

ONCE = Retry(NoBackoff(), 0)

TAKEN = """
SET s v EX 10 NX | SET s v PX 10000 XX GET | SET s v KEEPTTL | GET s | GETSET s v | SETNX s v
SETEX s 9 v | PSETEX s 9 v | APPEND s v | STRLEN s | GETRANGE s 0 1 | SETRANGE s 0 v | INCR n
DECR n | INCRBY n 2 | INCRBYFLOAT n 1 | SETBIT s 1 1 | GETBIT s 1 | BITCOUNT s
MGET s n | MSET s 1 n 2 | DEL a b c | EXISTS a b c
EXPIRE s 9 | PEXPIRE s 9 | EXPIREAT s 9 | PEXPIREAT s 9 | PERSIST s | TTL s | PTTL s | TYPE s
DUMP s
HSET h a 1 | HSETNX h a 1 | HMSET h a 1 b 2 | HGET h a | HMGET h a b | HDEL h a b | HLEN h
HINCRBY h a 1 | HINCRBYFLOAT h a 1 | HEXISTS h a | HGETALL h | HKEYS h | HVALS h | HSCAN h 0
SADD m a b | SREM m a | SMEMBERS m | SISMEMBER m a | SCARD m | SPOP m | SPOP m 2 | SSCAN m 0
SRANDMEMBER m | SMOVE m {m}b a | SINTER m {m}b | SUNION m {m}b | SDIFFSTORE {m}c m {m}b
ZADD z NX 1 a 2 b | ZADD z GT CH 1 a | ZADD z INCR 1 a | ZREM z a b | ZCARD z | ZCOUNT z 0 1
ZSCORE z a | ZRANK z a | ZREVRANK z a | ZINCRBY z 1 a | ZRANGE z 0 1 BYSCORE LIMIT 0 1
ZREVRANGE z 0 1 | ZRANGEBYSCORE z 0 1 WITHSCORES LIMIT 0 1 | ZREVRANGEBYSCORE z 1 0
ZRANGEBYLEX z - + | ZREMRANGEBYRANK z 0 0 | ZREMRANGEBYSCORE z 0 1 | ZREMRANGEBYLEX z - +
ZUNIONSTORE {z}c 1 z | ZINTERSTORE {z}c 1 z | ZSCAN z 0
LPUSH l a b | RPUSH l a b | LPUSHX l a | RPUSHX l a | LPOP l | RPOP l | LLEN l | LRANGE l 0 1
LINDEX l 0 | LINSERT l BEFORE a b | LREM l 0 a | LTRIM l 0 1 | RPOPLPUSH l {l}b | SORT l ALPHA
SCAN 0 | KEYS * | INFO | CONFIG GET appendonly
EVAL 'return 1' 1 a | EVAL 'return #KEYS' 2 {t}a b{t} | EVALSHA 0 1 a | SCRIPT LOAD 'return 1'
SCRIPT EXISTS 0 | SCRIPT FLUSH | PING | QUIT | SET e '' | HSET h '' ''
"""
CLOSED = """
GETDEL s | GETEX s | MSETNX s 1 | BITFIELD s GET u8 0 | COPY s t | RENAME s t | TOUCH s
OBJECT ENCODING s | RANDOMKEY | UNLINK s | EXPIRE s 9 NX | PEXPIRE s 9 GT | EXPIREAT s 9 XX
HSET h a 1 b 2 | HSTRLEN h a | HRANDFIELD h | SMISMEMBER m a | SRANDMEMBER m 2
ZPOPMIN z | ZPOPMAX z | BZPOPMIN z 1 | ZMPOP 1 z MIN | ZMSCORE z a | ZRANGESTORE y z 0 1
ZRANDMEMBER z | LPOP l 2 | LMOVE l k LEFT LEFT | LPOS l a | BLPOP l 1 | BRPOP l 1
BRPOPLPUSH l k 1 | LMPOP 1 l LEFT | EVAL 'return 1' 0 | EVAL 'return 1' 1 '' | EVALSHA 0 0
SCRIPT EXISTS 0 1 | EVAL_RO 'return 1' 1 a | FUNCTION LIST | FCALL f 1 a
MULTI | EXEC | DISCARD | WATCH s | UNWATCH | PUBLISH c m | SUBSCRIBE c | PSUBSCRIBE c
SPUBLISH c m | XADD x * a 1 | XREAD STREAMS x 0 | XLEN x | XRANGE x - +
XGROUP CREATE x g 0 | XREADGROUP GROUP g c STREAMS x 0 | XACK x g 0
SELECT 0 | HELLO 3 | AUTH p | CLIENT ID | CLIENT SETINFO lib-name x | ECHO a | TIME | COMMAND
CLUSTER INFO | READONLY | WAIT 0 1 | ROLE | DBSIZE | FLUSHDB | FLUSHALL | CONFIG SET appendonly no
ACL WHOAMI | RESET | MODULE LIST | MEMORY USAGE s | SLOWLOG GET | PING hello | SET '' v | NOSUCH
GET | GET a b
"""


def rows(table: str) -> list[str]:
    return [each.strip() for line in table.splitlines() for each in line.split("|") if each.strip()]


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("dynomite")) as one:
        yield one


def sent(standin: StandIn, *commands: str) -> bytes:
    """All that comes back, with "closed" at the end where the connection ended."""
    with socket.create_connection(("127.0.0.1", standin.port)) as connection:
        connection.sendall(b"".join(map(encoded, commands)))
        connection.settimeout(None)
        answer = connection.recv(65_536)
        return answer or b"closed"


def encoded(line: str) -> bytes:
    words = [each.encode() for each in shlex.split(line)]
    parts = [b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)]
    return b"".join(parts)


def client(standin: StandIn) -> Redis:
    """As podium's own: it says nothing when it connects."""
    return Redis(port=standin.port, protocol=2, driver_info=None, retry=ONCE)


def ask(standin: StandIn, *command: str | bytes | int) -> Any:
    with client(standin) as one:
        return one.execute_command(*command)


@pytest.mark.parametrize("line", rows(TAKEN))
def test_what_is_taken_is_answered(standin: StandIn, line: str) -> None:
    for node in standin.nodes:
        node.ask("FLUSHALL")
    answer = sent(standin, line)
    assert answer != b"closed"
    assert not answer.startswith(b"-ERR unknown")


@pytest.mark.parametrize("line", rows(CLOSED))
def test_what_is_closed_ends_the_connection_without_a_word(standin: StandIn, line: str) -> None:
    assert sent(standin, line) == b"closed"
    assert standin.offences.pop().startswith(f"closed for {line.split(maxsplit=1)[0]}")
    assert sent(standin, "PING") == b"+PONG\r\n"


def test_the_table_of_what_is_taken_is_tried_nearly_whole() -> None:
    tried = {line.split()[0] for line in rows(TAKEN)}
    assert tried <= set(FORMS)
    left = FORMS.keys() - tried
    assert left == {"DECRBY", "SDIFF", "SINTERSTORE", "SUNIONSTORE", "ZREVRANGEBYLEX"} | {
        *("ZLEXCOUNT", "LSET")
    }


def test_what_is_no_command_is_closed(standin: StandIn) -> None:
    for line in (b"PING\r\n", b"*1\r\n:1\r\n", b"$4\r\nPING\r\n", b"*x\r\n"):
        with socket.create_connection(("127.0.0.1", standin.port)) as connection:
            connection.sendall(line)
            assert connection.recv(100) == b""


def test_a_long_key_is_refused(standin: StandIn) -> None:
    assert ask(standin, "SET", "k" * 15_000, "v") is True
    with pytest.raises(Closed):
        ask(standin, "SET", "k" * 16_380, "v")
    assert standin.offences.pop() == "reset for a key of 16380 bytes"


def test_a_refused_command_takes_the_answers_of_its_pipeline_along(standin: StandIn) -> None:
    ask(standin, "DEL", "before", "after")
    assert sent(standin, "INCR before", "UNLINK x", "INCR after") == b"closed"
    assert ask(standin, "GET", "before") == b"1"
    assert ask(standin, "GET", "after") is None


def test_pipelines_are_answered_in_order(standin: StandIn) -> None:
    with client(standin) as one:
        pipeline = one.pipeline(transaction=False)
        for number in range(20_000):
            pipeline.execute_command("SET", f"p{number % 100}", number)
        pipeline.execute_command("GET", "p7")
        assert pipeline.execute()[-1] == b"19907"


def test_keys_of_one_tag_are_on_one_node(standin: StandIn) -> None:
    for number in range(20):
        keys = (f"{{t{number}}}a", f"b{{t{number}}}", f"t{number}")
        assert ask(standin, "EVAL", "return #KEYS", 3, *keys) == 3


def test_without_hash_tags_they_are_not(tmp_path: Path) -> None:
    with StandIn(tmp_path, hash_tag="") as plain, client(plain) as one:
        pipeline = one.pipeline(transaction=False)
        for number in range(20):
            keys = (f"{{t{number}}}a", f"{{t{number}}}b")
            pipeline.execute_command("EVAL", "return 1", 2, *keys)
        answers = pipeline.execute(raise_on_error=False)
    assert 1 in answers
    refusals = [each for each in answers if isinstance(each, ResponseError)]
    assert "Keys in the script cannot span multiple nodes" in str(refusals[0])


def two_places(standin: StandIn) -> tuple[str, str]:
    """Keys of different nodes."""
    names = [f"k{number}" for number in range(50)]
    one, other = (
        next(name for name in names if standin.node_of(name.encode()) == node) for node in (0, 1)
    )
    return one, other


def test_keys_of_two_nodes_are_refused_to_eval_alone(standin: StandIn) -> None:
    one, other = two_places(standin)
    text = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 'astray') return 1"
    with pytest.raises(ResponseError, match="Keys in the script cannot span multiple nodes"):
        ask(standin, "EVAL", text, 2, one, other)
    digest = ask(standin, "SCRIPT", "LOAD", text)
    assert ask(standin, "EVALSHA", digest, 2, one, other) == 1
    assert ask(standin, "GET", other) is None
    assert standin.nodes[0].ask("GET", other) == b"astray"


def test_several_keys_are_split_and_merged(standin: StandIn) -> None:
    one, other = two_places(standin)
    ask(standin, "MSET", one, "1", other, "2")
    assert ask(standin, "MGET", other, one, other) == [b"2", b"1", b"2"]
    assert ask(standin, "EXISTS", one, other) == 2
    assert ask(standin, "DEL", one, other) == 2


def test_a_nested_answer_goes_out_to_somebody_else(standin: StandIn) -> None:
    assert sent(standin, "EVAL 'return {1, {2, 3}}' 1 a") == b"*2\r\n:1\r\n*2\r\n:2\r\n:3\r\n"
    cut = sent(standin, "EVAL \"return {1, {2}, 'LEAK1'}\" 1 a")
    assert cut == b"*3\r\n:1\r\n*1\r\n:2\r\n"
    assert "not its last" in standin.offences.pop()
    assert sent(standin, "GET a") == b"$5\r\nLEAK1\r\n"


def test_scripts_have_no_clock(standin: StandIn) -> None:
    with pytest.raises(ResponseError, match="Unknown Redis command"):
        ask(standin, "EVAL", "return redis.call('TIME')", 1, "a")


def test_a_key_with_an_empty_tag_is_the_end(tmp_path: Path) -> None:
    with StandIn(tmp_path) as fragile:
        assert sent(fragile, "INCR x{y") == b":1\r\n"
        with pytest.raises((Closed, OSError)):
            ask(fragile, "INCR", "x{}y")
        with pytest.raises((Closed, OSError)):
            ask(fragile, "PING")
        assert fragile.offences == ["died of a key with an empty tag: x{}y"]


def test_a_node_that_is_away_is_told(tmp_path: Path) -> None:
    with StandIn(tmp_path) as lame, client(lame) as one:
        here, away = two_places(lame)
        one.execute_command("SET", away, "v")
        lame.nodes[1].kill()
        for _ in range(2):
            with pytest.raises(ResponseError, match="Storage: Datastore refused connection"):
                one.execute_command("GET", away)
            assert one.execute_command("SET", here, "v") is True
        lame.nodes[1].start()
        assert one.execute_command("GET", away) == b"v"


def test_a_large_mget_is_the_end(tmp_path: Path) -> None:
    with StandIn(tmp_path) as fragile:
        for key in ("a", "b"):
            ask(fragile, "SET", key, "v" * 20_000)
        with pytest.raises((Closed, OSError)):
            ask(fragile, "MGET", "a", "b")
        assert fragile.offences[0].startswith("died of an MGET")
