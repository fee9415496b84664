// Tracking: friends each hold one thing; games with fixed trades are played round after round.
// Asked is who holds at the end what a certain friend held after a certain game.
//
// The chain names each game's trades (recalled from the question by the game's colour), makes them
// one a line, and restates who holds what. Then it follows one thing through the game as a check.
// Working set of a step: the trades of the game and the last state, about 60 tokens; for the check
// the state before the game, up to 150 tokens back. Late recalls: the trades, and at the end the
// state after the game that the question asks about.
#include <algorithm>

#include "tasks/tasks.hpp"
#include "tasks/words.hpp"

namespace vase::tasks {
namespace {

struct Trade {
  int first;
  int second;
};

struct Game {
  std::string colour;
  std::vector<Trade> trades;
};

using Names = std::vector<std::string>;

const std::string& at(const Names& names, int i) { return names[static_cast<std::size_t>(i)]; }

std::string state_text(const Names& friends, const Names& held) {
  Names parts;
  for (std::size_t i = 0; i < friends.size(); ++i) parts.push_back(cat(friends[i], " ", held[i]));
  return join(parts);
}

std::string trade_text(const Names& friends, const Trade& trade) {
  return cat(at(friends, trade.first), "-", at(friends, trade.second));
}

std::vector<Trade> random_trades(Rng& rng, int friends, int count) {
  std::vector<Trade> trades;
  while (static_cast<int>(trades.size()) < count) {
    const Trade trade{rng.between(0, friends - 1), rng.between(0, friends - 1)};
    if (trade.first == trade.second) continue;
    const auto same = [&trade](const Trade& other) {
      return std::minmax(trade.first, trade.second) == std::minmax(other.first, other.second);
    };
    if (std::none_of(trades.begin(), trades.end(), same)) trades.push_back(trade);
  }
  return trades;
}

/// Plays one game in the chain: the trades, then a check that follows one thing.
void play(ChainText& chain, const Voice& voice, const Names& friends, const Game& game, int number,
          Names& held) {
  Names list;
  for (const Trade& trade : game.trades) list.push_back(trade_text(friends, trade));
  chain.line("Game ", number, " is ", game.colour, ": ", join(list), ".");
  int holder = game.trades.front().first;
  const std::string thing = at(held, holder);
  std::string follow = cat(voice.check, ": the ", thing, " was with ", at(friends, holder), ".");
  for (const Trade& trade : game.trades) {
    std::string& a = held[static_cast<std::size_t>(trade.first)];
    std::string& b = held[static_cast<std::size_t>(trade.second)];
    std::swap(a, b);
    chain.line(trade_text(friends, trade), ": ", at(friends, trade.first), " gets the ", a, ", ",
               at(friends, trade.second), " gets the ", b, ". Now ", state_text(friends, held),
               ".");
    const bool moves = trade.first == holder || trade.second == holder;
    if (moves) holder = trade.first + trade.second - holder;
    follow += cat(" ", trade_text(friends, trade),
                  moves ? cat(" takes it to ", at(friends, holder), ".") : " leaves it.");
  }
  chain.line(follow, " So ", at(friends, holder), " has the ", thing, ". ", voice.good);
}

}  // namespace

Draft make_tracking(Rng& rng, const Lengths& lengths) {
  const Voice voice = draw_voice(rng);
  const int count = rng.between(4, lengths.few_parts ? 5 : 6);
  const Names friends = rng.sample(people(), count);
  const Names start = rng.sample(things(), count);
  std::vector<Game> games;
  for (const std::string& colour :
       rng.sample(colours(), lengths.few_parts ? 2 : rng.between(3, 4))) {
    games.push_back({colour, random_trades(rng, count, rng.between(3, 4))});
  }

  ChainText chain;
  chain.line(voice.opening);
  chain.line("At the start: ", state_text(friends, start), ".");
  Names held = start;
  std::vector<Names> after;
  const int goal = draw_goal(rng, lengths, 250, 120);
  while (chain.tokens() < goal) {
    const int number = static_cast<int>(after.size()) + 1;
    const Game& game = games[after.size() % games.size()];
    play(chain, voice, friends, game, number, held);
    after.push_back(held);
    const std::string& next = games[after.size() % games.size()].colour;
    chain.line("After game ", number, " (", game.colour, "): ", state_text(friends, held), ".",
               chain.tokens() < goal ? cat(" Next is game ", number + 1, ", ", next, ".") : "");
  }

  const int played = static_cast<int>(after.size());
  const int asked_game = rng.between(1, std::max(1, played / 2));
  const int asked_friend = rng.between(0, count - 1);
  const std::string thing = at(after[static_cast<std::size_t>(asked_game) - 1], asked_friend);
  const auto holder = std::find(held.begin(), held.end(), thing) - held.begin();
  const std::string& answer = friends[static_cast<std::size_t>(holder)];
  chain.line(voice.closing);
  chain.line("After game ", asked_game, " (",
             games[static_cast<std::size_t>(asked_game - 1) % games.size()].colour,
             "): ", state_text(friends, after[static_cast<std::size_t>(asked_game) - 1]), ".");
  chain.line("So ", at(friends, asked_friend), " had the ", thing, " then.");
  chain.line("After game ", played, ", the last: ", state_text(friends, held), ".");
  chain.line("The ", thing, " is with ", answer, ".");

  Draft draft;
  Names holds;
  for (int i = 0; i < count; ++i) holds.push_back(cat(at(friends, i), " the ", at(start, i)));
  draft.question = cat("Some friends each hold one thing: ", join(holds), ".");
  Names order;
  for (const Game& game : games) {
    Names list;
    for (const Trade& trade : game.trades) {
      list.push_back(trade_text(friends, trade));
      draft.content += cat(trade.first, "-", trade.second, ",");
    }
    draft.content += ";";
    draft.question += cat(" In the ", game.colour, " game these trade: ", join(list), ".");
    order.push_back(game.colour);
  }
  draft.content += cat(count, ";", played, ";", asked_game, ";", asked_friend);
  draft.question += cat(" They play ", join(order), " and then from the front again, ", played,
                        " games in all. Who holds at the end what ", at(friends, asked_friend),
                        " held after game ", asked_game, "?");
  draft.chain = chain.text();
  draft.answer = answer;
  return draft;
}

}  // namespace vase::tasks
