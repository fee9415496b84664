// Graph search: one-way roads between towns, and trips whose smallest numbers of roads are added.
//
// The chain searches each trip breadth first. A line takes the front town from the queue, recalls
// its roads from the question (keyed by the town) and marks each end as new or seen; the next line
// restates queue and seen towns. A found trip is walked back to its start as a second look. Dead
// ends and trips that cannot be made occur. Working set of a step: queue, seen towns and roads of
// one town, at most about 100 tokens. Late recalls: roads and trips from the question, where a
// town was first seen (for the way back), every trip's number at the end.
#include <algorithm>
#include <deque>

#include "tasks/tasks.hpp"
#include "tasks/words.hpp"

namespace vase::tasks {
namespace {

struct Map {
  std::vector<std::string> names;
  std::vector<std::vector<int>> roads;  // roads[town]: where its roads lead to

  const std::string& name(int town) const { return names[static_cast<std::size_t>(town)]; }
  const std::vector<int>& from(int town) const { return roads[static_cast<std::size_t>(town)]; }
};

struct Trip {
  int from = 0;
  int to = 0;
  int length = 0;  // number of roads, 0 if it cannot be made
};

Map random_map(Rng& rng, int towns) {
  Map map{rng.sample(tasks::towns(), towns), {}};
  for (int town = 0; town < towns; ++town) {
    std::vector<int> others;
    for (int other = 0; other < towns; ++other) {
      if (other != town) others.push_back(other);
    }
    // Most towns have one or two roads, some have three or none.
    const int draw = rng.between(1, 100);
    const int degree = draw <= 10 ? 0 : draw <= 50 ? 1 : draw <= 85 ? 2 : 3;
    map.roads.push_back(rng.sample(others, degree));
  }
  return map;
}

/// One breadth-first search as it goes.
struct Search {
  std::vector<int> seen;       // in the order in which they were seen
  std::vector<int> came_from;  // came_from[town], -1 if it was not seen
  std::vector<int> distance;
  std::deque<int> queue;

  bool has_seen(int town) const { return std::find(seen.begin(), seen.end(), town) != seen.end(); }
  int distance_of(int town) const { return distance[static_cast<std::size_t>(town)]; }
};

std::string state_text(const Map& map, const Search& search) {
  std::vector<std::string> queue;
  for (const int town : search.queue) {
    queue.push_back(cat(map.name(town), " ", search.distance_of(town)));
  }
  std::vector<std::string> seen;
  for (const int town : search.seen) seen.push_back(map.name(town));
  return cat("Queue: ", queue.empty() ? "empty" : join(queue), ". Seen: ", join(seen), ".");
}

/// Takes one town from the queue and writes what its roads lead to. True if the goal was found.
bool visit_next(ChainText& chain, const Map& map, Search& search, int goal) {
  const int town = search.queue.front();
  search.queue.pop_front();
  const int distance = search.distance_of(town);
  if (map.from(town).empty()) {
    chain.line("Take ", map.name(town), " at ", distance, ". No road leaves ", map.name(town),
               ", a dead end.");
    return false;
  }
  std::vector<std::string> ends;
  bool found = false;
  for (const int end : map.from(town)) {
    const bool is_new = !search.has_seen(end);
    ends.push_back(cat(map.name(end), is_new ? (end == goal ? " goal" : " new") : " seen"));
    if (!is_new) continue;
    found = found || end == goal;
    search.seen.push_back(end);
    search.queue.push_back(end);
    search.came_from[static_cast<std::size_t>(end)] = town;
    search.distance[static_cast<std::size_t>(end)] = distance + 1;
  }
  chain.line("Take ", map.name(town), " at ", distance, ". Roads from ", map.name(town), " to ",
             join(ends), ".");
  return found;
}

/// Searches one trip in the chain and returns its length, 0 if it cannot be made.
int search_trip(ChainText& chain, const Voice& voice, const Map& map, const Trip& trip,
                int number) {
  Search search;
  search.came_from.assign(map.names.size(), -1);
  search.distance.assign(map.names.size(), 0);
  search.queue.push_back(trip.from);
  search.seen.push_back(trip.from);
  chain.line("Trip ", number, " goes from ", map.name(trip.from), " to ", map.name(trip.to), ".");
  bool found = false;
  while (!found && !search.queue.empty()) {
    chain.line(state_text(map, search));
    found = visit_next(chain, map, search, trip.to);
  }
  if (!found) {
    chain.line("The queue is empty and ", map.name(trip.to), " was not seen. Trip ", number,
               " cannot be made: 0.");
    return 0;
  }
  const int length = search.distance_of(trip.to);
  std::string back = cat(voice.second_look, " at the way back: ");
  for (int town = trip.to; town != trip.from;) {
    const int before = search.came_from[static_cast<std::size_t>(town)];
    back += cat(map.name(town), " ", search.distance_of(town), " was new from ", map.name(before),
                before == trip.from ? "." : ", ");
    town = before;
  }
  chain.line(back, " Trip ", number, " takes ", length, ".");
  return length;
}

}  // namespace

Draft make_graph(Rng& rng, const Lengths& lengths) {
  const Voice voice = draw_voice(rng);
  const int towns = lengths.few_parts ? rng.between(7, 9) : rng.between(9, 13);
  const Map map = random_map(rng, towns);

  ChainText chain;
  chain.line(voice.opening);
  std::vector<Trip> trips;
  const int goal = draw_goal(rng, lengths, 300, 80);
  while (chain.tokens() < goal && trips.size() < 20) {
    Trip trip{rng.between(0, towns - 1), rng.between(0, towns - 1), 0};
    // Trips of a single road teach little, and a start without roads nothing.
    const std::vector<int>& first = map.from(trip.from);
    if (trip.from == trip.to || first.empty() ||
        std::find(first.begin(), first.end(), trip.to) != first.end()) {
      if (!rng.chance(98)) return {};
      continue;
    }
    trip.length = search_trip(chain, voice, map, trip, static_cast<int>(trips.size()) + 1);
    trips.push_back(trip);
  }

  chain.line(voice.closing);
  int total = 0;
  for (std::size_t i = 0; i < trips.size(); ++i) {
    const int number = static_cast<int>(i) + 1;
    if (i == 0) {
      chain.line("Trip ", number, " takes ", trips[i].length, ".");
    } else {
      chain.line("Trip ", number, " takes ", trips[i].length, ": ", total, " + ", trips[i].length,
                 " = ", total + trips[i].length, ".");
    }
    total += trips[i].length;
  }
  chain.line("The total is ", total, ".");

  Draft draft;
  draft.question = "One-way roads lead from each town to others.\n";
  for (int town = 0; town < towns; ++town) {
    std::vector<std::string> ends;
    for (const int end : map.from(town)) {
      ends.push_back(map.name(end));
      draft.content += cat(end, ",");
    }
    draft.content += ";";
    draft.question += cat("From ", map.name(town), ": ", ends.empty() ? "none" : join(ends), ".\n");
  }
  std::vector<std::string> list;
  for (std::size_t i = 0; i < trips.size(); ++i) {
    list.push_back(
        cat(static_cast<int>(i) + 1, " ", map.name(trips[i].from), " to ", map.name(trips[i].to)));
    draft.content += cat(trips[i].from, ">", trips[i].to, ";");
  }
  draft.question += cat("Trips: ", join(list),
                        ".\nFind the smallest number of roads for every trip; a trip that cannot "
                        "be made counts 0. What is the total?");
  draft.chain = chain.text();
  draft.answer = cat(total);
  return draft;
}

}  // namespace vase::tasks
